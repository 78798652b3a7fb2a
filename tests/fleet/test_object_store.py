"""Released files in an S3 store: a real S3 server (moto's), server processes, and TUF's client."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
from obstore.store import from_url

from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.waiting import Limits
from fleet.__main__ import main
from fleet.command_line import parse
from fleet.control import releases
from fleet.store.errors import StoreError
from fleet.store.objects import Objects, object_name
from tests.fixtures.bundles import make_bundle
from tests.fixtures.fleet_process import serving
from tests.fixtures.fleet_server import links

STORE = "s3://releases/fleet"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server with the bucket ``releases``, which the environment names."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: run `make test`")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    assert httpx.put(f"{address}/releases", timeout=60).status_code == 200
    yield address
    with contextlib.suppress(Exception):
        httpx.post(f"{address}/moto-api/reset", timeout=60)
    server.stop()


def _fleet(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == 0
    return json.loads(capsys.readouterr().out)


def test_releases_are_sent_from_the_store(s3, tmp_path, capsys):
    root, image = tmp_path / "fleet", tmp_path / "image.swu"
    tokens = _fleet(root, capsys, "init")
    image.write_bytes(os.urandom(700_000))
    release = _fleet(root, capsys, "release", "add", str(image), "--name", "os", "--version", "1.0.0",
           "--store", STORE)  # fmt: skip
    assert not (root / "artifacts").exists()
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"groups": [{"name": "all", "percent": 100}]}))
    _fleet(root, capsys, "device", "add", "cam")
    _fleet(root, capsys, "rollout", "create", "os==1.0.0", "--plan", str(plan))
    _fleet(root, capsys, "rollout", "start", "1")
    headers = {"Authorization": f"GatewayToken {tokens['gateway_token']}"}
    poll = "/default/controller/v1/cam"

    def href(client: httpx.Client) -> str:
        while "deploymentBase" not in (found := links(client.get(poll))):
            pass
        (chunk,) = client.get(found["deploymentBase"]).json()["deployment"]["chunks"]
        return str(chunk["artifacts"][0]["_links"]["download"]["href"])

    content = image.read_bytes()
    image.unlink()
    with (
        serving(root, "--store", STORE) as address,
        httpx.Client(base_url=address, headers=headers, timeout=60) as client,
    ):
        place = href(client)
        whole = client.get(place)
        assert whole.content == content
        etag = whole.headers["etag"]
        part = client.get(place, headers={"Range": "bytes=300000-599999", "If-Range": etag})
        assert (part.status_code, part.content) == (206, content[300_000:600_000])
        assert part.headers["content-range"] == "bytes 300000-599999/700000"
        assert client.get(place, headers={"Range": "bytes=-7"}).content == content[-7:]
        assert client.get(place, headers={"Range": "bytes=700000-"}).status_code == 416
        assert client.get(place, headers={"If-None-Match": etag}).status_code == 304
        assert int(client.head(place).headers["content-length"]) == 700_000
        without_token = f"/default/tuf/targets/{release['sha256']}.image.swu"
        assert client.get(without_token).status_code == 404, "it is no bundle"
        obstore.delete(
            from_url(STORE, client_options={"allow_http": True}), object_name(release["sha256"])
        )
        gone = client.get(place)
        assert (gone.status_code, gone.json()["status"]) == (404, 404)
    with (
        serving(root) as address,
        httpx.Client(base_url=address, headers=headers, timeout=60) as client,
    ):
        told = client.get(href(client))
        assert (told.status_code, "--store URL" in told.json()["detail"]) == (503, True)


def test_a_worker_without_the_bundles_serves_them_to_tuf_clients(s3, tmp_path, capsys):
    root = tmp_path / "fleet"
    _fleet(root, capsys, "init")
    bundle = make_bundle(tmp_path / "a.bundle")
    release = _fleet(root, capsys, "release", "add", str(bundle), "--store", STORE)
    for file in (root / "repository" / "targets").rglob("*"):
        if file.is_file():
            file.unlink()
    (tmp_path / "trust").mkdir()
    trusted = (root / "repository" / "metadata" / "1.root.json").read_bytes()
    with serving(root, "--store", STORE) as address:
        url = f"{address}/default/tuf"
        client = RepositoryClient(url, trusted, tmp_path / "trust", Limits())
        offers = client.releases(str(release["name"]))
        target = str(release["target"])
        client.download(target, offers[target], tmp_path / "got.bundle", {})
        assert httpx.get(f"{url}/targets/{'0' * 64}.x", timeout=60).status_code == 404
    assert (tmp_path / "got.bundle").read_bytes() == bundle.read_bytes()


def test_others_write_while_a_file_goes_to_the_store(s3, tmp_path, capsys, monkeypatch):
    root = tmp_path / "fleet"
    _fleet(root, capsys, "init")
    _fleet(root, capsys, "device", "add", "cam")
    proper, sent = obstore.put, []

    def put(*given: Any) -> Any:
        with contextlib.closing(sqlite3.connect(root / "fleet.db", timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
        sent.append(given[1])
        return proper(*given)

    monkeypatch.setattr(obstore, "put", put)
    (tmp_path / "image.swu").write_bytes(b"image")
    store = ("--store", STORE)
    _fleet(root, capsys, "release", "add", str(tmp_path / "image.swu"),
           "--name", "os", "--version", "1.0.0", *store)  # fmt: skip
    first = _fleet(root, capsys, "release", "add", str(make_bundle(tmp_path / "a.bundle")), *store)
    other = make_bundle(tmp_path / "b.bundle", seed=1, minimum={})
    published = releases.publish_bundle(root, "default", other, None)
    _fleet(root, capsys, "rollout", "follow", str(first["name"]), "--canary", "100", *store)
    assert len(set(sent)) == len(sent) == 3
    assert object_name(published.digest) == sent[-1]


def test_a_release_in_the_store_shows_its_card(s3, tmp_path, capsys):
    root = tmp_path / "fleet"
    tokens = _fleet(root, capsys, "init")
    bundle = make_bundle(tmp_path / "a.bundle")
    release = _fleet(root, capsys, "release", "add", str(bundle), "--store", STORE)
    with serving(root, "--store", STORE) as address:
        cookies = {"fleet_operator": str(tokens["admin_token"])}
        page = f"{address}/releases/{release['name']}/{release['version']}"
        assert "<dt>Licence</dt>" in httpx.get(page, cookies=cookies, timeout=60).text


def test_a_store_that_cannot_be_used_is_told(s3, tmp_path, monkeypatch):
    with pytest.raises(StoreError, match="--store nowhere"):
        Objects("nowhere")
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID"):
        Objects("s3://no-bucket/fleet").put("ab/abc", tmp_path / "file")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="check the store"):
        Objects(STORE).put("ab/abc", tmp_path / "file")

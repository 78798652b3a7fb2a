"""Bundles that signers send to the server: signed there only if it was told to, and has the keys."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from fleet.__main__ import main
from fleet.command_line import parse
from fleet.control import releases, tenants
from fleet.repository import Repository
from fleet.server.bodies import receive
from fleet.server.intake import Intake
from fleet.store.database import default_url
from tests.fixtures.bundles import make_bundle
from tests.fixtures.fleet_process import serving
from tests.fixtures.fleet_server import running_fleet

PATH = "/api/v1/default/bundles"


@pytest.fixture
def signing(tmp_path):
    """A server that signs what it is sent, and has released a bundle before."""
    root = tmp_path / "fleet"
    root.mkdir()
    with running_fleet(default_url(root), root, Intake(root, None)) as fleet:
        first = make_bundle(tmp_path / "first.bundle", seed=1)
        releases.publish_bundle(root, "default", first, "1.0.0")
        yield fleet


@pytest.fixture
def bundle(tmp_path) -> bytes:
    return make_bundle(tmp_path / "a.bundle").read_bytes()


def versions(fleet) -> list[str]:
    return [
        each.version for each in Repository(fleet.root / "repository").releases("keyword_spotting")
    ]


def test_a_server_that_was_not_told_to_signs_nothing_and_says_what_to_do(server, bundle):
    refused = server.admin.post(PATH, content=bundle)
    assert refused.status_code == 409
    assert "release add" in refused.json()["detail"]
    assert versions(server) == []


def test_a_bundle_that_a_signer_sends_is_released_once(signing, bundle):
    with signing.database.write() as connection:
        token = tenants.add_operator(connection, signing.clock(), "test", "anna", "operator")
    assert signing.operator(token).post(PATH, content=bundle).status_code == 403
    made = [signing.admin.post(PATH, params={"version": "1.2.0"}, content=bundle) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201], made[0].text
    assert made[0].json() == made[1].json()
    assert versions(signing) == ["1.0.0", "1.2.0"]
    (known,) = signing.admin.get("/api/v1/default/releases").json()["releases"]
    assert known["version"] == "1.2.0"


def test_what_is_no_bundle_or_cannot_be_released_is_refused(signing, bundle, monkeypatch):
    odd = signing.admin.post(PATH, content=b"PK no bundle")
    assert (odd.status_code, odd.json()["detail"].startswith("the bundle: ")) == (400, True)
    taken = signing.admin.post(PATH, params={"version": "1.0.0"}, content=bundle)
    assert (taken.status_code, "/tmp" in taken.text) == (400, False)
    monkeypatch.setattr("fleet.server.intake.MAX_BUNDLE_BYTES", len(bundle) - 1)
    assert signing.admin.post(PATH, content=bundle).status_code == 413
    assert signing.admin.post(PATH, content=iter([bundle])).status_code == 413
    assert versions(signing) == ["1.0.0"]


def test_a_few_bundles_may_come_at_once(signing, bundle, monkeypatch):
    coming, go_on = threading.Semaphore(0), threading.Event()

    async def told(*given: Any) -> None:
        coming.release()
        await receive(*given)

    def slowly():
        yield bundle[:100]
        go_on.wait(60)
        yield bundle[100:]

    def send() -> int:
        return signing.admin.post(PATH, content=slowly()).status_code

    monkeypatch.setattr("fleet.server.intake.receive", told)
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(send) for _ in range(4)]
        assert all(coming.acquire(timeout=60) for _ in sent)
        refused = signing.admin.post(PATH, content=bundle)
        go_on.set()
        assert [each.result() for each in sent] == [201] * 4
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert signing.admin.post(PATH, content=bundle).status_code == 201


def test_a_disk_without_room_is_told(signing, bundle, monkeypatch, caplog):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fleet.server.intake.receive", full)
    refused = signing.admin.post(PATH, content=bundle)
    assert (refused.status_code, "/tmp" in refused.text) == (507, False)
    assert "No space left" in caplog.text
    paths = signing.admin.get("/openapi.json").json()["paths"]
    assert "507" in paths["/api/v1/{tenant}/bundles"]["post"]["responses"]
    monkeypatch.undo()
    assert signing.admin.post(PATH, content=bundle).status_code == 201


def test_a_server_without_the_keys_cannot_sign(signing, bundle):
    shutil.rmtree(signing.root / "keys")
    refused = signing.admin.post(PATH, content=bundle)
    assert (refused.status_code, str(signing.root) in refused.text) == (409, False)
    assert versions(signing) == ["1.0.0"]


def test_it_makes_no_keys_for_a_tenant_without_a_repository(signing, bundle):
    with signing.database.write() as connection:
        tenants.add(connection, 1.0, "test", "other")
    signing.pass_time()
    refused = signing.admin.post("/api/v1/other/bundles", content=bundle)
    assert (refused.status_code, "no repository yet" in refused.text) == (409, True)
    assert not (signing.root / "tenants").exists()


def test_the_command_line_tells_a_server_to_sign(tmp_path, capsys, bundle):
    root = tmp_path / "fleet"

    def fleet(*arguments: str):
        assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == 0
        return json.loads(capsys.readouterr().out)

    token = fleet("init")["admin_token"]
    fleet("release", "add", str(make_bundle(tmp_path / "first.bundle", seed=1)))
    with serving(root, "--sign-uploads") as address:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(address + PATH, content=bundle, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text

"""The metadata client by its command line, on cases written from the TUF specification (1.0.34).

The framework's own suite runs the same command line: `make conformance SUITE=DIR`.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

import edge_agent
from edge_agent.__main__ import main
from edge_agent.command_line import parse
from tests.fixtures.raw_server import reply, server
from tests.fixtures.tuf_site import TufSite

PAST = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


class Client:
    """The command line, on a repository in a folder."""

    def __init__(self, folder: Path, site: TufSite) -> None:
        self.site = site
        self.trust = folder / "trust"
        self.files = folder / "files"
        self.root = folder / "first_root.json"
        self.root.write_bytes((site.folder / "metadata/1.root.json").read_bytes())
        self.address = site.folder.as_uri()

    def run(self, *arguments: str) -> int:
        return main(parse(["edge_agent", "tuf", "--metadata-dir", str(self.trust), *arguments]))

    def init(self) -> int:
        return self.run("init", str(self.root))

    def refresh(self) -> int:
        return self.run("--metadata-url", f"{self.address}/metadata", "refresh")

    def download(self, *names: str) -> int:
        return self.run(
            *("--metadata-url", f"{self.address}/metadata"),
            *(word for name in names for word in ("--target-name", name)),
            *("--target-base-url", f"{self.address}/targets"),
            *("--target-dir", str(self.files), "download"),
        )

    def version(self, role: str) -> int:
        return json.loads((self.trust / f"{role}.json").read_text())["signed"]["version"]


@pytest.fixture
def site(tmp_path) -> TufSite:
    return TufSite(tmp_path / "site")


@pytest.fixture
def client(tmp_path, site) -> Client:
    return Client(tmp_path, site)


def test_init_refresh_download(client, site):
    site.add_target("targets", "models/a b.bundle", b"content")
    site.publish()
    assert client.init() == 0
    assert {path.name for path in client.trust.iterdir()} == {"root.json"}
    assert client.refresh() == 0
    roles = ("root", "timestamp", "snapshot", "targets")
    assert {client.version(role) for role in roles} == {1}
    assert client.download("models/a b.bundle") == 0
    (file,) = client.files.iterdir()
    assert file.read_bytes() == b"content"


def test_a_target_that_is_there_is_not_fetched_again(client, site):
    site.add_target("targets", "a", b"content")
    site.publish()
    client.init()
    assert client.download("a") == 0
    for path in (site.folder / "targets").iterdir():
        path.unlink()
    assert client.download("a") == 0
    (client.files / "a").write_bytes(b"damaged")
    assert client.download("a") == 1


def test_changed_content_keeps_its_file_name(client, site):
    client.init()
    for content in (b"one", b"two"):
        site.add_target("targets", "a", content)
        site.publish()
        assert client.download("a") == 0
        assert [path.read_bytes() for path in client.files.iterdir()] == [content]


def test_an_unknown_target_or_a_missing_argument_is_an_error(client, site, capsys):
    site.publish()
    assert client.refresh() == 1
    assert "init ROOT` first" in capsys.readouterr().err
    client.init()
    assert client.download("nothing") == 1
    assert "holds no target nothing" in capsys.readouterr().err
    assert client.run("refresh") == 1
    assert client.run("--metadata-url", "file:///x", "download") == 1
    assert "--target-name, --target-base-url, --target-dir" in capsys.readouterr().err


def test_what_is_no_root_is_not_trusted(client, site, capsys):
    site.publish()
    client.init()
    trusted = (client.trust / "root.json").read_bytes()
    timestamp = (site.folder / "metadata/timestamp.json").read_bytes()
    for content, words in ((b"[device]", "is no metadata"), (timestamp, "is timestamp metadata")):
        client.root.write_bytes(content)
        assert client.init() == 1
        assert f"first_root.json: {words}" in capsys.readouterr().err
        assert (client.trust / "root.json").read_bytes() == trusted


def test_cached_role_is_verified_against_current_delegator(client, site):
    """5.6.7: a role that two others delegate to is verified with the keys of each.

    One client asks for a target by way of a delegator whose key did sign the role, then for another
    by way of one whose key did not: that the role was trusted before must not count.
    """
    good, other = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    for parent, paths in (("first", ["1/*"]), ("second", ["2/*"])):
        site.delegate("targets", parent, paths, CryptoSigner.generate_ed25519())
    site.delegate("first", "shared", ["1/*"], good)
    site.delegate("second", "shared", ["2/*"], other)
    for path in ("1/a", "2/a"):
        site.add_target("shared", path, path.encode())
    site.publish()
    client.init()
    assert client.download("1/a") == 0
    assert client.download("1/a", "2/a") == 1
    assert client.download("2/a") == 1
    assert [path.name for path in client.files.iterdir()] == ["1%2Fa"]
    site.signers["shared"].append(other)
    site.publish()
    assert client.download("1/a", "2/a") == 0


def test_a_cached_role_is_verified_with_the_keys_that_its_delegator_names_now(client, site):
    """5.6.7: after a rotation the old signature counts no more, though the file is trusted."""
    old, new = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    site.delegate("targets", "family", ["*"], old)
    site.add_target("family", "a", b"content")
    site.publish()
    client.init()
    assert client.download("a") == 0
    site.targets["targets"].revoke_key(old.public_key.keyid, "family")
    site.targets["targets"].add_key(new.public_key, "family")
    site.publish()
    assert client.download("a") == 1
    site.signers["family"] = [new]
    site.publish()
    assert client.download("a") == 0


@pytest.mark.parametrize("name", ["?", "#", "/family", "../family", "a b%2f"])
def test_an_odd_role_name_stays_in_the_folder(client, site, name, monkeypatch):
    site.delegate("targets", name, ["*"], CryptoSigner.generate_ed25519())
    site.add_target(name, "a", b"content")
    site.publish()
    client.init()

    def undecoded(connection, request):
        file = site.folder / request.path.lstrip("/")
        if not file.is_file():
            return reply(connection, "404 Not Found")
        return reply(connection, "200 OK", file.read_bytes())

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with server(undecoded) as client.address:
        assert client.download("a") == 0
    assert not (client.trust.parent / "family.json").exists()
    assert len(list(client.trust.glob("*.json"))) == 5


@pytest.mark.parametrize("path", ["../a", "a/../../b", "/a"])
def test_a_target_path_that_leaves_the_folder_is_refused(client, site, path, capsys):
    site.add_target("targets", "a", b"content")
    targets = site.targets["targets"].targets
    targets[path] = targets.pop("a")
    targets[path].path = path
    site.publish()
    client.init()
    assert client.download(path) == 1
    assert "target path" in capsys.readouterr().err


def test_root_keys_rotate_step_by_step(client, site):
    """5.3: each root is signed by a threshold of the former one's keys and of its own."""
    site.publish()
    client.init()
    former = site.signers["root"][0]
    for version in (2, 3):
        following = CryptoSigner.generate_ed25519()
        site.root.version = version
        site.root.add_key(following.public_key, "root")
        site.root.revoke_key(former.public_key.keyid, "root")
        site.signers["root"] = [former, following]
        site.publish_root()
        former = following
    assert client.refresh() == 0
    assert client.version("root") == 3
    site.root.version = 4
    site.signers["root"] = [CryptoSigner.generate_ed25519()]
    site.publish_root()
    assert client.refresh() == 1
    assert client.version("root") == 3


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_an_expired_role_is_refused(client, site, role, capsys):
    site.publish()
    client.init()
    assert client.refresh() == 0
    signed = {"root": site.root, "timestamp": site.timestamp, "snapshot": site.snapshot}
    (signed | {"targets": site.targets["targets"]})[role].expires = PAST
    site.root.version += 1
    site.publish_root()
    site.publish()
    assert client.refresh() == 1
    assert "check this device's clock" in capsys.readouterr().err


def test_under_threshold_is_refused(client, site):
    site.publish()
    client.init()
    second = CryptoSigner.generate_ed25519()
    site.root.add_key(second.public_key, "targets")
    site.root.roles["targets"].threshold = 2
    site.root.version = 2
    site.publish_root()
    site.publish()
    assert client.refresh() == 1
    site.signers["targets"] *= 2  # the same key twice counts once
    site.publish()
    assert client.refresh() == 1
    site.signers["targets"] = [site.signers["targets"][0], second]
    site.publish()
    assert client.refresh() == 0


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_lower_version_is_refused(client, site, role, capsys):
    for _ in range(3):
        site.publish()
    client.init()
    assert client.refresh() == 0
    signed = {"timestamp": site.timestamp, "snapshot": site.snapshot}
    (signed | {"targets": site.targets["targets"]})[role].version = 1
    site.publish()
    assert client.refresh() == 1
    assert "older metadata than this device has seen" in capsys.readouterr().err
    assert client.version(role) == 3 if role != "timestamp" else client.version(role) >= 3


def test_metadata_of_two_moments_is_not_mixed(client, site):
    """5.6.4: targets of one version under a snapshot that names another."""
    site.publish()
    site.add_target("targets", "a", b"content")
    site.publish()
    metadata = site.folder / "metadata"
    (metadata / "2.targets.json").write_bytes((metadata / "1.targets.json").read_bytes())
    client.init()
    assert client.refresh() == 1


def test_the_exit_code_of_the_process_is_the_suites(client, site):
    site.publish()
    command = [sys.executable, "-m", "edge_agent", "tuf", "--metadata-dir", str(client.trust)]
    folder = Path(edge_agent.__file__).parents[1]

    def code(*arguments: str) -> int:
        done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr
        return done.returncode

    url = ("--metadata-url", f"{site.folder.as_uri()}/metadata")
    assert code("init", str(client.root)) == 0
    assert code(*url, "refresh") == 0
    (site.folder / "metadata/timestamp.json").write_text("{}")
    assert code(*url, "refresh") == 1

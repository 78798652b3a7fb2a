"""Repositories that lie, trickle, flood or mislead: the update is refused and nothing changes."""

import json
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_agent.update import errors, install
from edge_agent.update.examination import examine
from edge_agent.update.waiting import Limits
from fleet.repository import Repository
from tests.fixtures.bundles import make_bundle
from tests.fixtures.ports import HeldPort
from tests.fixtures.raw_server import not_found, server

NAME = "keyword_spotting"
IMPATIENT = Limits(total_seconds=1.0, idle_seconds=0.5)


class Site:
    """A device that runs release 1.0.0, in a repository that goes bad afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository(folder / "repository", deltas=0)  # one way to a release alone
        self.metadata = self.repository.folder / "metadata"
        self.device = folder / "device"
        self.trusted_root = folder / "root.json"
        self.publish(0)
        self.install()
        self.running = self.content()

    def publish(self, number: int):
        bundle = make_bundle(self.folder / f"{number}.bundle", lineage=f"{number:064x}")
        release = self.repository.publish(NAME, bundle, None, "keyword_spotting")
        self.trusted_root.write_bytes(self.repository.trust_roots()[-1])
        return release

    def install(self, repository: str | None = None, limits: Limits | None = None):
        address = repository or str(self.repository.folder)
        return install.run(
            address, self.trusted_root, self.device, NAME, limits=limits, prove_bundle=examine
        )

    def content(self) -> list[tuple[str, bytes]]:
        """All of the device but the metadata it trusts and the record of what went wrong."""
        return [
            (str(path.relative_to(self.device)), path.read_bytes())
            for path in sorted(self.device.rglob("*"))
            if path.is_file() and "tuf" not in path.parts and path.name != "state.json"
        ]

    def refuses(
        self,
        error: type[errors.UpdateError],
        match: str,
        repository: str | None = None,
        limits: Limits | None = None,
    ):
        with pytest.raises(error, match=match):
            self.install(repository, limits)
        assert self.content() == self.running
        record = json.loads((self.device / "state.json").read_text())
        assert record["current"]["version"] == "1.0.0"
        assert re.search(match, record["last_error"])


@pytest.fixture
def site(tmp_path, monkeypatch) -> Site:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return Site(tmp_path)


def test_a_changed_bundle(site):
    release = site.publish(1)
    path = site.repository.bundle_path(release)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    site.refuses(errors.UntrustedError, "not what was signed")


@pytest.mark.parametrize("size", [-1, 1, 100_000])
def test_a_bundle_of_another_length(site, size):
    path = site.repository.bundle_path(site.publish(1))
    data = path.read_bytes()
    path.write_bytes(data[:size] if size < 0 else data + b"x" * size)
    site.refuses((errors.UntrustedError, errors.UnreachableError), "repository")


@pytest.mark.parametrize("file", ["timestamp.json", "3.snapshot.json", "3.targets.json"])
@pytest.mark.parametrize("how", ["changed", "unsigned", "garbage", "deep"])
def test_tampered_metadata(site, file, how):
    site.publish(1)
    content = json.loads((site.metadata / file).read_text())
    content["signed"]["expires"] = "2099-01-01T00:00:00Z"
    if how == "unsigned":
        content["signatures"] = []
    text = {"garbage": "no", "deep": "[" * 15_000}.get(how, json.dumps(content))
    (site.metadata / file).write_text(text)
    site.refuses((errors.UntrustedError, errors.UnreachableError), "repository")


def test_an_older_timestamp(site):
    old = (site.metadata / "timestamp.json").read_bytes()
    site.publish(1)
    shutil.rmtree(site.repository.folder / "targets")
    site.refuses(errors.UnreachableError, "404|no such file")  # has seen the new timestamp now
    (site.metadata / "timestamp.json").write_bytes(old)
    site.refuses(errors.RolledBackError, "older metadata than this device has seen")


def test_an_old_list_of_releases_under_a_new_number(site):
    site.publish(1)
    shutil.copy(site.metadata / "2.targets.json", site.metadata / "3.targets.json")
    site.refuses((errors.UntrustedError, errors.RolledBackError), "repository")


def test_expired_metadata(tmp_path):
    site = Site(tmp_path)
    past = datetime.now(UTC) - timedelta(days=30)
    Repository(site.repository.folder, clock=lambda: past).refresh()
    site.refuses(errors.ExpiredError, r"(?s)expired.*clock.*sign it again")


def test_the_trust_root_of_another_repository(site):
    other = Repository(site.folder / "other" / "repository")
    other.publish(NAME, site.folder / "0.bundle", None, "keyword_spotting")
    site.trusted_root.write_bytes(other.trust_roots()[0])
    site.refuses(errors.UntrustedError, "not signed by the keys that this device trusts")


def test_a_root_that_the_trusted_one_did_not_sign(site):
    other = Repository(site.folder / "other" / "repository")
    other.publish(NAME, site.folder / "0.bundle", None, "keyword_spotting")
    shutil.copy(other.folder / "metadata/1.root.json", site.metadata / "2.root.json")
    site.refuses((errors.UntrustedError, errors.RolledBackError), "repository")


def test_a_folder_without_a_repository(site):
    (site.folder / "empty").mkdir()
    site.refuses(errors.UnreachableError, r"timestamp\.json", str(site.folder / "empty"))


DRIPS = 3000  # for a minute


def drip_body(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    for _ in range(DRIPS):
        connection.sendall(b" ")
        time.sleep(0.02)


def drip_headers(connection, request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(DRIPS):
        connection.sendall(b"x")
        time.sleep(0.02)


def drip_hundreds(connection, request):
    for _ in range(DRIPS):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.02)


def silence(connection, request):
    connection.recv(1)  # until it is left


@pytest.mark.parametrize("answer", [drip_body, drip_headers, drip_hundreds, silence])
def test_a_slow_server_is_given_up_in_time(site, answer):
    with server(answer) as address:
        started = time.monotonic()
        site.refuses(errors.UnreachableError, "too slow", address, IMPATIENT)
        assert time.monotonic() - started < 30


def endless(connection, request):
    if "root" in request.path:
        return not_found(connection, request)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def endless_redirect(connection, request):
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def redirect_to_a_file(connection, request):
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\n\r\n")


def cut_short(connection, request):
    if "root" in request.path:
        return not_found(connection, request)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")


def broken(connection, request):
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")


def nonsense(connection, request):
    connection.sendall(b"\x00\x01 what\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (not_found, "404"),
        (endless, "exceeding"),
        (endless_redirect, "redirected more than 5 times"),
        (redirect_to_a_file, "not safe"),
        (cut_short, "cut short, 499 bytes missing"),
        (broken, "500"),
        (nonsense, "check the address"),
    ],
)
def test_a_server_that_misleads(site, answer, words):
    with server(answer) as address:
        site.refuses(errors.UnreachableError, words, address)


def test_nobody_there(site):
    held = HeldPort()
    site.refuses(errors.UnreachableError, "refused", f"http://127.0.0.1:{held.number}")


def serve_file(site, connection, path):
    file = site.repository.folder / path
    if not file.is_file():
        return not_found(connection, path)
    data = file.read_bytes()
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode())
    connection.sendall(data)


def test_a_mirror_may_redirect(site):
    site.publish(1)

    def answer(connection, request):
        if request.path.startswith("/mirror/"):
            return serve_file(site, connection, request.path.removeprefix("/mirror/"))
        head = f"HTTP/1.1 301 Moved\r\nLocation: /mirror{request.path}\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    with server(answer) as address:
        assert site.install(address)["version"] == "1.0.1"


def test_the_proxy_of_the_environment_is_used(site, monkeypatch):
    site.publish(1)

    def answer(connection, request):
        serve_file(site, connection, request.path.removeprefix("http://far.invalid/"))

    with server(answer) as address:
        monkeypatch.setenv("http_proxy", address)
        assert site.install("http://far.invalid")["version"] == "1.0.1"

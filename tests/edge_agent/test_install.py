"""Installing from disk and over HTTP: what is chosen, where it lands, what is kept."""

import fcntl
import functools
import http.server
import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundle.manifest import Golden
from edge_agent.update import errors, install
from edge_agent.update.examination import examine
from edge_agent.update.releases import version_order
from fleet.repository import Repository
from fleet.repository.versions import parse
from tests.fixtures.bundles import make_bundle

NAME = "keyword_spotting"


class Site:
    """A repository, its trust root, and a device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository(folder / "repository")
        self.device = folder / "device"
        self.trusted_root = folder / "root.json"

    def publish(self, number: int, version: str | None = None, **changes):
        bundle = make_bundle(self.folder / f"{number}.bundle", lineage=f"{number:064x}", **changes)
        release = self.repository.publish(NAME, bundle, version, "keyword_spotting")
        self.trusted_root.write_bytes(self.repository.trust_roots()[-1])
        return release

    def install(self, request: str = NAME, repository: str | None = None):
        address = repository or str(self.repository.folder)
        return install.run(address, self.trusted_root, self.device, request, prove_bundle=examine)

    def running(self) -> bytes:
        return (self.device / "current" / "release.bundle").read_bytes()

    def bundle(self, number: int) -> bytes:
        return (self.folder / f"{number}.bundle").read_bytes()


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def address(site, monkeypatch):
    """The repository's address behind a web server on loopback."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(Quiet, directory=str(site.repository.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


def test_over_http_the_highest_version_lands_in_a_slot(site, address):
    site.publish(0, "1.9.0")
    release = site.publish(1, "1.10.0")
    site.publish(2, "1.2.0")
    result = site.install(repository=address)
    assert result == {
        "name": NAME,
        "version": "1.10.0",
        "digest": release.digest,
        "slot": "a",
        "target": release.target,
        "outcome": "installed",
    }
    assert site.running() == site.bundle(1)
    assert (site.device / "current").readlink() == Path("slots/a")
    record = json.loads((site.device / "state.json").read_text())
    assert record["phase"] == "committed"
    assert record["current"] == {key: value for key, value in result.items() if key != "outcome"}


@pytest.mark.parametrize("kind", ["path", "url", "http"])
def test_each_kind_of_address(site, address, kind):
    site.publish(0)
    folder = site.repository.folder
    addresses = {"path": str(folder), "url": folder.as_uri() + "/", "http": address + "/"}
    assert site.install(repository=addresses[kind])["outcome"] == "installed"


def test_a_folder_that_is_no_repository_is_told_as_one(site):
    site.publish(0)
    for wrong in ("", "metadata", "none"):
        folder = site.repository.folder.parent / wrong
        with pytest.raises(
            errors.UnreachableError, match="folder that holds metadata/ and targets/"
        ):
            site.install(repository=folder.as_uri())
    folder = str(site.repository.folder)
    with pytest.raises(errors.RequestError, match=f"write file://{folder}"):
        site.install(repository="file:/" + folder)


def test_a_folder_with_blanks_and_signs_in_its_name(tmp_path):
    (tmp_path / "a b%20#ü").mkdir()
    site = Site(tmp_path / "a b%20#ü")
    site.publish(0)
    assert site.install()["outcome"] == "installed"


def test_slots_alternate_and_the_former_bundle_stays(site):
    site.publish(0)
    site.install()
    site.publish(1)
    assert site.install()["slot"] == "b"
    assert site.running() == site.bundle(1)
    assert (site.device / "slots/a/release.bundle").read_bytes() == site.bundle(0)
    assert site.install(f"{NAME}==1.0.0")["slot"] == "a"
    assert site.running() == site.bundle(0)


def test_what_is_current_already_is_not_installed_again(site):
    site.publish(0)
    site.install()
    before = {p: p.lstat().st_mtime_ns for p in (site.device / "slots").rglob("*")}
    assert site.install()["outcome"] == "already_current"
    assert before == {p: p.lstat().st_mtime_ns for p in (site.device / "slots").rglob("*")}


def test_a_damaged_current_bundle_is_replaced(site):
    site.publish(0)
    site.install()
    (site.device / "current" / "release.bundle").write_bytes(b"rot")
    assert site.install()["outcome"] == "installed"
    assert site.running() == site.bundle(0)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"name": 1}', b"\xff\xfe"])
def test_a_damaged_record_is_written_anew(site, content):
    site.publish(0)
    site.install()
    before = json.loads((site.device / "state.json").read_text())
    (site.device / "state.json").write_bytes(content)
    assert site.install()["outcome"] == "already_current"
    after = json.loads((site.device / "state.json").read_text())
    assert after["current"] == before["current"]


def test_an_unknown_name_or_version_lists_what_is_there(site):
    site.publish(0)
    site.publish(1, "1.2.0")
    with pytest.raises(errors.UnknownReleaseError, match=r"9\.9\.9: choose from 1\.0\.0, 1\.2\.0"):
        site.install(f"{NAME}==9.9.9")
    with pytest.raises(errors.UnknownReleaseError, match="choose from keyword_spotting"):
        site.install("kitchen")
    assert not (site.device / "current").exists()


@pytest.mark.parametrize("request_", ["", "a b", "name==", "name==1.0", "name=1.0.0", "../x"])
def test_a_malformed_request_is_told_its_form(site, request_):
    site.publish(0)
    with pytest.raises(errors.RequestError, match="NAME==VERSION"):
        site.install(request_)
    assert not site.device.exists()


@pytest.mark.parametrize(
    "repository", ["ftp://x/y", "http://user:secret@x/y", "https://[/", "nowhere"]
)
def test_an_unusable_address_is_refused_without_telling_its_password(site, repository):
    site.publish(0)
    with pytest.raises(errors.RequestError) as caught:
        site.install(repository=repository)
    assert "secret" not in str(caught.value)


def test_a_release_for_a_newer_agent_is_refused_before_its_download(site):
    site.publish(0, minimum={"agent": "99.0.0"})
    for path in (site.repository.folder / "targets").rglob("*.bundle"):
        path.unlink()
    with pytest.raises(errors.IncompatibleError, match=r"needs agent 99\.0\.0"):
        site.install()


def test_a_bundle_that_fails_its_self_test_costs_no_slot(site):
    for number in range(2):
        site.publish(number)
        site.install()
    both = [(site.device / "slots" / slot / "release.bundle").read_bytes() for slot in "ab"]
    golden = Golden(inputs="golden_inputs.npy", outputs="check_codes.npy", tolerance={"litert": 7})
    site.publish(2, golden=golden)
    with pytest.raises(errors.RefusedError, match=r"1\.0\.2\.bundle: does not pass its self-test"):
        site.install()
    assert both == [(site.device / "slots" / slot / "release.bundle").read_bytes() for slot in "ab"]
    assert site.running() == site.bundle(1)
    assert not list(site.device.rglob(".*.part"))


def test_two_updates_of_one_device_do_not_meet(site):
    site.publish(0)
    site.install()
    with (site.device / ".lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(errors.BusyError, match="another update"):
            site.install()
    assert site.install()["outcome"] == "already_current"


@pytest.mark.parametrize("content", [None, b"", b"{}", b"x" * 600_000])
def test_a_trust_root_that_is_none_is_refused(site, content):
    site.publish(0)
    site.trusted_root.unlink()
    if content is not None:
        site.trusted_root.write_bytes(content)
    with pytest.raises(errors.TrustedRootError, match=r"root\.json"):
        site.install()
    assert not (site.device / "current").exists()


def test_it_installs_without_the_cryptography_package(site):
    site.publish(0)
    program = (
        "import sys; from pathlib import Path; sys.modules['cryptography'] = None\n"
        "from edge_agent.update import install\n"
        "print(install.run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), 'keyword_spotting'))"
    )
    arguments = [str(site.repository.folder), str(site.trusted_root), str(site.device)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "'outcome': 'installed'" in done.stdout, done.stderr


versions = st.builds(
    "{}.{}.{}{}".format,
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from(["", "-1", "-2", "-10", "-rc", "-rc.1", "-rc.2", "-a-b"]),
)


@given(st.lists(versions, min_size=2, max_size=6))
def test_the_device_orders_versions_as_the_repository_does(found):
    for one, other in itertools.combinations(found, 2):
        ours = version_order(one), version_order(other)
        theirs = parse(one).order, parse(other).order
        assert (ours[0] < ours[1]) == (theirs[0] < theirs[1])


def test_the_device_folder_holds_what_the_design_names(site):
    site.publish(0)
    site.install()
    names = {path.name for path in site.device.iterdir()}
    assert names == {".lock", "current", "slots", "state.json", "tuf"}
    assert not list((site.device / "slots/b").iterdir())

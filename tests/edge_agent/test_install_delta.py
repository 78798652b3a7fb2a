"""A release by delta: taken where it is smaller and leads there, and never in a release's way."""

import json
import shutil
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile

from edge_agent.bundle.archive import read
from edge_agent.bundle.delta import NEWEST_FORMAT
from edge_agent.update import errors, install
from edge_agent.update.examination import examine
from edge_agent.update.offers import read_offer
from edge_agent.update.releases import choose
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.waiting import Limits
from fleet.repository import Repository
from tests.fixtures.bundles import make_bundle

NAME = "keyword_spotting"


class Site:
    """A repository with two releases, and a device that runs the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository(folder / "repository")
        self.trusted_root = folder / "root.json"
        self.device = folder / "device"
        self.publish(0)
        self.install()
        self.publish(1)

    def publish(self, number: int):
        bundle = make_bundle(self.folder / f"{number}.bundle", lineage=f"{number:064x}")
        release = self.repository.publish(NAME, bundle, None, "keyword_spotting")
        self.trusted_root.write_bytes(self.repository.trust_roots()[-1])
        return release

    def install(self, request: str = NAME):
        address = str(self.repository.folder)
        return install.run(address, self.trusted_root, self.device, request, prove_bundle=examine)

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.repository.folder / "targets").rglob(pattern))

    def fetch(self):
        """What the newest release takes, and where it lies."""
        device = DeviceFolder(self.device)
        client = RepositoryClient(
            self.repository.folder.as_uri(), self.trusted_root.read_bytes(), device.metadata,
            Limits(),
        )  # fmt: skip
        target, offer = choose(client.releases(NAME), NAME, None)
        return client.download(target, offer, device.aside("b"), device.bundles()), device.aside(
            "b"
        )

    def arrives(self, *, delta: bool) -> int:
        """The newest release is fetched as said; gives the bytes that it took."""
        fetched, path = self.fetch()
        assert path.read_bytes() == (self.folder / "1.bundle").read_bytes()
        assert fetched.delta == delta
        left = {p.name for p in path.parent.iterdir()} - {"release.bundle"}
        assert left == {path.name}
        return fetched.bytes


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def test_the_delta_from_what_runs_is_taken(site):
    whole = (site.folder / "1.bundle").stat().st_size
    (path,) = site.files("*-1.0.1-from-1.0.0.delta")
    assert site.arrives(delta=True) == path.stat().st_size < whole / 5
    assert site.install()["outcome"] == "installed"


def test_the_bundle_in_the_other_slot_is_a_base_too(site):
    site.install()
    site.install(f"{NAME}==1.0.0")
    site.publish(2)
    (site.device / "slots/a/release.bundle").write_bytes(b"rot")
    fetched, path = site.fetch()
    assert path.read_bytes() == (site.folder / "2.bundle").read_bytes()
    (delta,) = site.files("*-1.0.2-from-1.0.1.delta")
    assert (fetched.delta, fetched.bytes) == (True, delta.stat().st_size)


def test_without_a_base_the_compressed_file_is_taken(site):
    (site.device / "slots/a/release.bundle").write_bytes(b"rot")
    (path,) = site.files("*-1.0.1.delta")
    assert site.arrives(delta=False) == path.stat().st_size


@pytest.mark.parametrize("how", ["gone", "changed", "cut", "longer"])
def test_a_delta_that_cannot_be_had_falls_back_to_the_whole_file(site, how):
    for path in site.files("*.delta"):
        data = path.read_bytes()
        match how:
            case "gone":
                path.unlink()
            case "changed":
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            case "cut":
                path.write_bytes(data[:-1])
            case "longer":
                path.write_bytes(data + b"x")
    assert site.arrives(delta=False) >= (site.folder / "1.bundle").stat().st_size


def resign(site: Site, change) -> None:
    """Lets `change` at the custom fields of 1.0.1, signed by the repository's own keys."""
    keys, metadata = site.repository.keys, site.repository.folder / "metadata"
    loaded = Metadata.from_file(str(metadata / "3.targets.json"))
    change(loaded.signed.targets)
    loaded.signed.version = 4
    snapshot = Metadata.from_file(str(metadata / "3.snapshot.json"))
    timestamp = Metadata.from_file(str(metadata / "timestamp.json"))
    snapshot.signed.version = timestamp.signed.version = 4
    for signed, path in ((loaded, "4.targets.json"), (snapshot, "4.snapshot.json")):
        signed.sign(keys.signers(signed.signed.type)[0])
        data = signed.to_bytes()
        (metadata / path).write_bytes(data)
        if signed is loaded:
            snapshot.signed.meta["targets.json"] = MetaFile.from_data(4, data, ["sha256"])
        else:
            timestamp.signed.snapshot_meta = MetaFile.from_data(4, data, ["sha256"])
    timestamp.sign(keys.signers("timestamp")[0])
    (metadata / "timestamp.json").write_bytes(timestamp.to_bytes())


RELEASE = f"{NAME}/{NAME}-1.0.1.bundle"


@pytest.mark.parametrize(
    "deltas",
    [None, "x", 7, {}, [None], [{"base": 1}], [{"base": "", "target": "x", "bytes": -1}],
     [{"base": "", "target": "../../x", "bytes": 10}], [[]] * 1000],
)  # fmt: skip
def test_a_malformed_list_of_deltas_never_hides_the_release(site, deltas):
    def change(targets):
        targets[RELEASE].unrecognized_fields["custom"]["deltas"] = deltas

    resign(site, change)
    site.arrives(delta=False)


def test_a_delta_in_a_format_from_tomorrow_costs_nothing(site):
    def change(targets):
        for entry in targets[RELEASE].unrecognized_fields["custom"]["deltas"]:
            entry["format"] = NEWEST_FORMAT + 1

    resign(site, change)
    assert site.arrives(delta=False) == (site.folder / "1.bundle").stat().st_size


def test_a_delta_that_leads_elsewhere_falls_back_to_the_whole_file(site):
    def swap(targets):
        """The delta to 1.0.0 is said to lead to 1.0.1."""
        old = targets[f"{NAME}/{NAME}-1.0.0.bundle"].custom["deltas"]
        targets[RELEASE].unrecognized_fields["custom"]["deltas"] = old

    resign(site, swap)
    site.arrives(delta=False)


def test_a_delta_from_another_base_than_it_says_falls_back(site):
    def lie(targets):
        (site.device / "slots/b").mkdir(exist_ok=True)
        other = make_bundle(site.device / "slots/b/release.bundle", lineage="7" * 64)
        for entry in targets[RELEASE].custom["deltas"]:
            entry["base"] = read(other).digest

    resign(site, lie)
    site.arrives(delta=False)


def test_a_broken_connection_is_not_answered_with_a_larger_file(site):
    shutil.rmtree(site.repository.folder / "targets")
    with pytest.raises(errors.UnreachableError):
        site.fetch()


def test_too_little_room_is_said_before_the_download(site, monkeypatch):
    usage = shutil.disk_usage(site.device)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1_050_000))
    shutil.rmtree(site.repository.folder / "targets")
    with pytest.raises(errors.StorageError, match="1050000 bytes are free, and the release takes"):
        site.fetch()


@pytest.mark.parametrize("custom", [None, [], "x", {}, {"name": "a"}, {"name": 1, "version": "x"}])
def test_what_is_no_release_is_not_taken_for_one(custom):
    assert read_offer(custom) is None


def test_deltas_are_listed_for_the_newest_releases_alone(site, tmp_path):
    for number in range(2, 7):
        site.publish(number)
    metadata = sorted((site.repository.folder / "metadata").glob("*.targets.json"))
    newest = max(metadata, key=lambda path: int(path.name.split(".")[0]))
    targets = json.loads(newest.read_text())["signed"]["targets"]
    listed = {p: [d["target"] for d in t["custom"].get("deltas", [])]
              for p, t in targets.items() if "custom" in t}  # fmt: skip
    by_version = {
        path.split("-")[-1].removesuffix(".bundle"): ways for path, ways in listed.items()
    }
    assert {version for version, ways in by_version.items() if ways} == {
        "1.0.3", "1.0.4", "1.0.5", "1.0.6"
    }  # fmt: skip
    assert by_version["1.0.6"] == [
        f"{NAME}/deltas/{NAME}-1.0.6.delta",
        *(f"{NAME}/deltas/{NAME}-1.0.6-from-1.0.{n}.delta" for n in (5, 4, 3)),
    ]
    assert {p for p in targets if p.endswith(".delta")} == {d for w in listed.values() for d in w}

"""What a publisher relies on: versions, digests, keys, and metadata that any TUF client accepts."""

import json
import logging
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from edge_agent.bundle.archive import BundleError
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.waiting import Limits
from fleet.repository import (
    KeysError,
    ReleaseError,
    Repository,
    RepositoryDamagedError,
    RepositoryError,
    refresh,
)
from tests.fixtures.bundles import make_bundle

NAME = "keyword_spotting"


@pytest.fixture
def repository(tmp_path) -> Repository:
    return Repository(tmp_path / "var" / "repository")


@pytest.fixture
def publish(repository, tmp_path):
    """Publishes bundle number `number` of the test."""

    def publish(number: int, version: str | None = None, name: str = NAME):
        bundle = make_bundle(tmp_path / f"{number}.bundle", lineage=f"{number:064x}")
        return repository.publish(name, bundle, version, "keyword_spotting")

    return publish


def offered(repository: Repository, trust: Path) -> dict[str, str]:
    """Version and digest of all that a TUF client with a fresh memory sees."""
    client = RepositoryClient(
        repository.folder.as_uri(), repository.trust_roots()[0], trust, Limits()
    )
    return {offer.version: offer.digest for offer in client.releases(NAME).values()}


def test_versions_count_up_from_1_0_0(repository, publish, tmp_path):
    made = [publish(number) for number in range(3)]
    assert [release.version for release in made] == ["1.0.0", "1.0.1", "1.0.2"]
    assert all(release.new for release in made)
    assert made[2].target == "keyword_spotting/keyword_spotting-1.0.2.bundle"
    (tmp_path / "trust").mkdir()
    assert offered(repository, tmp_path / "trust") == {r.version: r.digest for r in made}


def test_the_latest_is_by_semantic_version_not_by_time_or_text(repository, publish):
    assert repository.latest(NAME) is None
    for number, version in enumerate(["1.9.0", "1.10.0", "1.2.0", "1.10.0-rc.1"]):
        publish(number, version)
    latest = repository.latest(NAME)
    assert latest.version == "1.10.0"
    assert not latest.new
    assert publish(9).version == "1.10.1"


def test_a_digest_is_released_once(repository, publish):
    first = publish(0)
    again = publish(0, "2.0.0")
    assert (again.version, again.digest, again.new) == (first.version, first.digest, False)
    assert len(repository.releases(NAME)) == 1


def test_a_version_taken_by_other_content_is_an_error(repository, publish):
    publish(0, "1.0.3")
    with pytest.raises(ReleaseError, match=r"1\.0\.3 is already released"):
        publish(1, "1.0.3")
    assert len(repository.releases(NAME)) == 1


def test_names_are_lines_of_their_own(repository, publish):
    publish(0, "4.0.0")
    assert publish(0, name="kitchen").version == "1.0.0"
    assert [release.version for release in repository.releases(NAME)] == ["4.0.0"]


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "01.0.0", "1.0.0+build", "1.0.0-", "1.0.0\n"])
def test_a_version_that_is_not_semantic_is_an_error(publish, repository, version):
    with pytest.raises(ReleaseError, match="not of the form"):
        publish(0, version)
    assert repository.latest(NAME) is None


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", "-dash", "a" * 65])
def test_a_name_that_cannot_stand_in_a_path_is_an_error(publish, repository, name):
    with pytest.raises(ReleaseError, match="release name"):
        publish(0, name=name)
    assert not repository.folder.exists()


def test_only_a_whole_bundle_of_the_workload_is_released(repository, tmp_path):
    bundle = make_bundle(tmp_path / "a.bundle")
    with pytest.raises(ReleaseError, match="made for the workload keyword_spotting"):
        repository.publish(NAME, bundle, None, "anomaly_detection")
    bundle.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"a\.bundle"):
        repository.publish(NAME, bundle, None, "keyword_spotting")
    assert not repository.folder.exists()


def test_the_bundle_of_a_release_is_found_again(repository, publish, tmp_path):
    publish(0)
    publish(1)
    path = repository.bundle_path(repository.latest(NAME))
    assert path.read_bytes() == (tmp_path / "1.bundle").read_bytes()
    path.unlink()
    with pytest.raises(RepositoryDamagedError, match="is missing"):
        repository.bundle_path(repository.latest(NAME))


def test_the_custom_field_tells_a_device_what_to_choose_by(repository, publish):
    release = publish(0)
    targets = json.loads((repository.folder / "metadata" / "2.targets.json").read_text())
    custom = targets["signed"]["targets"][release.target]["custom"]
    (compressed,) = custom.pop("deltas")
    assert compressed.keys() == {"base", "target", "bytes"}
    assert custom == {
        "name": NAME,
        "version": "1.0.0",
        "workload": "keyword_spotting",
        "digest": release.digest,
        "minimum": {"agent": "0.1.0", "tflite_runtime": "2.14.0", "litert": "1.0.0"},
    }


def test_keys_are_private_separate_and_outside_the_repository(repository, publish, tmp_path):
    publish(0)
    keys = tmp_path / "var" / "keys"
    assert {path.name for path in keys.iterdir()} == {
        "root.pem",
        "targets.pem",
        "snapshot.pem",
        "timestamp.pem",
    }
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys.iterdir())
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    root = Metadata.from_bytes(repository.trust_roots()[0]).signed
    by_role = [tuple(role.keyids) for role in root.roles.values()]
    assert len(set(by_role)) == 4
    assert {role.threshold for role in root.roles.values()} == {1}
    assert root.consistent_snapshot
    served = b"".join(p.read_bytes() for p in repository.folder.rglob("*") if p.is_file())
    assert b"PRIVATE" not in served


def test_expiry_is_short_for_online_roles_and_renewed(tmp_path):
    now = datetime(2030, 1, 1, tzinfo=UTC)
    repository = Repository(tmp_path / "repository", clock=lambda: now)
    bundle = make_bundle(tmp_path / "a.bundle")
    repository.publish(NAME, bundle, None, "keyword_spotting")
    metadata = repository.folder / "metadata"

    def expiry(file: str) -> datetime:
        return Metadata.from_file(str(metadata / file)).signed.expires

    assert expiry("1.root.json") == expiry("2.targets.json") == now + timedelta(days=365)
    assert expiry("2.snapshot.json") == expiry("timestamp.json") == now + timedelta(days=14)
    now += timedelta(days=20)
    assert repository.refresh() == now + timedelta(days=14)
    assert expiry("3.snapshot.json") == expiry("timestamp.json") == now + timedelta(days=14)
    now += timedelta(days=20)
    assert not repository.publish(NAME, bundle, None, "keyword_spotting").new
    assert expiry("timestamp.json") == now + timedelta(days=14)
    now += timedelta(days=365)
    with pytest.raises(KeysError, match="expired on 2031-01-01"):
        repository.refresh()


def test_refresh_by_folder_needs_a_repository(tmp_path, repository, publish):
    with pytest.raises(RepositoryError, match="no repository here"):
        refresh(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    publish(0)
    assert refresh(repository.folder) > datetime.now(UTC) + timedelta(days=13)


def test_a_missing_key_is_never_replaced(publish, tmp_path, repository):
    publish(0)
    (tmp_path / "var" / "keys" / "targets.pem").unlink()
    with pytest.raises(KeysError, match=r"targets\.pem: the targets key cannot be read"):
        publish(1)
    assert not (tmp_path / "var" / "keys" / "targets.pem").exists()
    assert len(repository.releases(NAME)) == 1


def test_a_key_of_another_repository_is_refused(publish, tmp_path, repository):
    publish(0)
    other = Repository(tmp_path / "other" / "repository")
    other.publish(NAME, tmp_path / "0.bundle", None, "keyword_spotting")
    shutil.copy2(tmp_path / "other/keys/snapshot.pem", tmp_path / "var/keys/snapshot.pem")
    before = sorted(repository.folder.rglob("*"))
    with pytest.raises(KeysError, match="the snapshot key at hand is not this repository's"):
        publish(1)
    assert sorted(repository.folder.rglob("*")) == before


def test_a_key_that_others_may_read_is_refused(publish, tmp_path):
    publish(0)
    (tmp_path / "var" / "keys" / "root.pem").chmod(0o600)
    (tmp_path / "var" / "keys" / "timestamp.pem").chmod(0o644)
    with pytest.raises(KeysError, match="others may read this private key"):
        publish(1)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_nothing_of_a_private_key_is_told(publish, tmp_path, caplog, capsys, damage):
    caplog.set_level(logging.DEBUG)
    publish(0)
    key = tmp_path / "var" / "keys" / "targets.pem"
    text = key.read_text()
    secret = text.splitlines()[1]
    key.write_text(text.replace(secret, secret[:-8]) if damage == "cut" else f"key: {secret}\n")
    with pytest.raises(KeysError) as caught:
        publish(1)
    chain: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(f"{error!r} {error}")
        error = error.__cause__
    told = " ".join([*chain, caplog.text, *capsys.readouterr()])
    assert secret[:16] not in told

"""Power cuts, full disks and torn files while a device updates: it always holds a whole bundle."""

import errno
import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path

import pytest

from edge_agent.bundle import archive
from edge_agent.update import errors, install
from edge_agent.update.examination import examine
from fleet.repository import Repository
from tests.fixtures.bundles import make_bundle

NAME = "keyword_spotting"
STEPS = ("mkdir", "open", "fsync", "replace", "unlink", "symlink")


class Killed(BaseException):
    """Stands in for the death of the process."""


def die(monkeypatch, at: int) -> None:
    """From step `at` that reaches the disk, no step is done any more."""
    steps = itertools.count(1)

    def counted(step):
        def call(*arguments, **named):
            if next(steps) >= at:
                raise Killed
            return step(*arguments, **named)

        return call

    for name in STEPS:
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


class Site:
    """A repository with two releases, and a device that runs the first."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder / "repository")
        self.trusted_root = folder / "root.json"
        self.device = folder / "device"
        self.digests = []
        for number in range(2):
            bundle = make_bundle(folder / f"{number}.bundle", lineage=f"{number:064x}")
            release = self.repository.publish(NAME, bundle, None, "keyword_spotting")
            self.digests.append(release.digest)
        self.trusted_root.write_bytes(self.repository.trust_roots()[-1])
        self.install(self.device, f"{NAME}==1.0.0")

    def install(self, device: Path, request: str = NAME):
        return install.run(
            str(self.repository.folder), self.trusted_root, device, request, prove_bundle=examine
        )


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def running(device: Path) -> str:
    """Digest of the whole, readable bundle that the device would detect with now."""
    return archive.read(device / "current" / "release.bundle").digest


@pytest.mark.parametrize("fresh", [False, True])
def test_killed_at_any_step_it_holds_a_whole_bundle_and_goes_on(site, tmp_path, monkeypatch, fresh):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # only the order counts here
    for die_at in range(1, 200):
        device = tmp_path / f"killed-{die_at}"
        if not fresh:
            shutil.copytree(site.device, device, symlinks=True)
        with monkeypatch.context() as patch:
            die(patch, die_at)
            try:
                site.install(device)
                finished = True
            except Killed:
                finished = False
        if finished:
            break
        if not fresh:
            assert running(device) in site.digests
        elif (device / "current").exists():
            assert running(device) == site.digests[1]
        site.install(device)
        assert running(device) == site.digests[1]
        assert (
            json.loads((device / "state.json").read_text())["current"]["digest"] == site.digests[1]
        )
        assert not list(device.rglob(".*.part"))
        shutil.rmtree(device)
    assert die_at > 15, "too few steps: is the disk still patched?"


def test_nothing_is_renamed_before_it_is_synced(site, monkeypatch):
    """A rename that reaches the disk before the content does leaves an empty file behind."""
    synced: set[str] = set()
    renamed: dict[str, bool] = {}
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor):
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def noted_replace(source, target):
        if not Path(source).is_symlink():
            renamed[str(target)] = str(source) in synced
        replace(source, target)
        synced.discard(str(Path(target).parent))

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    monkeypatch.setattr(Path, "replace", noted_replace)
    site.install(site.device)
    assert set(renamed.values()) == {True}
    assert {Path(target).name for target in renamed} >= {"release.bundle", "state.json"}
    folders = {str(Path(target).parent) for target in renamed} | {str(site.device)}
    assert folders <= synced, "a rename is not durable until its folder is synced"


def test_a_first_install_syncs_the_trusted_metadata_too(site, tmp_path, monkeypatch):
    synced = []
    sync = os.fsync

    def noted_sync(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_sync)
    site.install(tmp_path / "new")
    assert {".timestamp.json.part", ".snapshot.json.part", ".targets.json.part"} <= set(synced)


def test_a_full_disk_at_any_write_changes_nothing(site, monkeypatch):
    before = (site.device / "slots/a/release.bundle").read_bytes()
    sync = os.fsync
    for fail_at in range(1, 100):
        left = fail_at

        def full(descriptor):
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                site.install(site.device)
                break
            except errors.StorageError as e:
                said = str(e)
        assert "No space left" in said
        assert running(site.device) in site.digests
        assert (site.device / "slots/a/release.bundle").read_bytes() == before
    assert fail_at > 4
    assert running(site.device) == site.digests[1]
    assert not list(site.device.rglob(".*.part"))


@pytest.mark.parametrize("file", ["timestamp", "snapshot", "targets"])
@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100])
def test_torn_trusted_metadata_is_fetched_again(site, file, content):
    (site.device / "tuf" / f"{file}.json").write_bytes(content)
    assert site.install(site.device)["outcome"] == "installed"
    assert running(site.device) == site.digests[1]


def test_what_a_killed_download_left_is_removed(site):
    left = site.device / "slots/b/.release.bundle.part"
    left.write_bytes(b"half")
    with pytest.raises(errors.UnknownReleaseError):
        site.install(site.device, f"{NAME}==7.0.0")
    assert not left.exists()


def test_the_record_follows_the_link_after_a_cut_between_them(site):
    state = (site.device / "state.json").read_bytes()
    site.install(site.device)
    (site.device / "state.json").write_bytes(state)
    assert site.install(site.device)["outcome"] == "already_current"
    digest = hashlib.sha256((site.device / "current/release.bundle").read_bytes()).hexdigest()
    record = json.loads((site.device / "state.json").read_text())["current"]
    assert (record["digest"], record["slot"]) == (digest, "b")

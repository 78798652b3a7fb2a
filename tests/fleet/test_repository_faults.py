"""A publisher that is killed, a disk that refuses, a second publisher, and tampered metadata."""

import errno
import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest

from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.waiting import Limits
from fleet.repository import (
    Repository,
    RepositoryBusyError,
    RepositoryDamagedError,
    RepositoryWriteError,
)
from fleet.repository.state import load_root
from tests.fixtures.bundles import make_bundle

NAME = "keyword_spotting"
STEPS = ("mkdir", "open", "fchmod", "fsync", "replace", "unlink")


class Killed(BaseException):
    """Stands in for the death of the process."""


class Machine:
    """Counts the steps that reach the disk; dies at one of them and does nothing afterwards."""

    def __init__(self, monkeypatch, die_at: int) -> None:
        self.steps = 0
        self.die_at = die_at
        for name in STEPS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, step):
        def counted(*arguments, **named):
            self.steps += 1
            if self.steps >= self.die_at:
                raise Killed
            return step(*arguments, **named)

        return counted


@pytest.fixture
def bundles(tmp_path) -> list[Path]:
    return [make_bundle(tmp_path / f"{n}.bundle", lineage=f"{n:064x}") for n in range(3)]


def publish(root: Path, bundle: Path):
    return Repository(root / "repository").publish(NAME, bundle, None, "keyword_spotting")


def offered(root: Path, memory: Path) -> set[str]:
    """The versions that a device sees, which remembers in `memory` what it saw before."""
    memory.mkdir(exist_ok=True)
    repository = Repository(root / "repository")
    client = RepositoryClient(
        repository.folder.as_uri(), repository.trust_roots()[0], memory, Limits()
    )
    return {offer.version for offer in client.releases(NAME).values()}


@pytest.mark.parametrize("released", [0, 1])
def test_killed_at_any_step_it_still_verifies_and_the_next_publish_goes_on(
    tmp_path, bundles, monkeypatch, released
):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # only the order counts here
    before = tmp_path / "before"
    before.mkdir()
    if released:
        publish(before, bundles[0])
    old = {"1.0.0"} if released else set()
    new = {"1.0.0", "1.0.1"} if released else {"1.0.0"}
    for die_at in range(1, 200):
        root = tmp_path / f"killed-{die_at}"
        shutil.copytree(before, root)
        memory = root / "memory"
        if released:
            assert offered(root, memory) == old
        with monkeypatch.context() as patch:
            machine = Machine(patch, die_at)
            try:
                publish(root, bundles[1])
                finished = True
            except Killed:
                finished = False
        if finished:
            assert machine.steps < die_at
            break
        if (root / "repository/metadata/timestamp.json").exists():
            assert offered(root, memory) in (old, new)
        publish(root, bundles[1])
        assert offered(root, memory) == new
        assert not list(root.rglob(".*.part"))
        shutil.rmtree(root)
    assert publish(root, bundles[2]).version == ("1.0.2" if released else "1.0.1")
    assert die_at > 15, "too few steps: is the disk still patched?"


def test_a_full_disk_at_any_write_leaves_what_was_there(tmp_path, bundles, monkeypatch):
    publish(tmp_path, bundles[0])
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
                publish(tmp_path, bundles[1])
                break
            except RepositoryWriteError as e:
                said = str(e)
        assert "No space left" in said
        assert not list(tmp_path.rglob(".*.part"))
        assert "1.0.0" in offered(tmp_path, tmp_path / "memory")
    assert fail_at > 4
    assert offered(tmp_path, tmp_path / "memory") == {"1.0.0", "1.0.1"}


def test_two_publishers_do_not_meet(tmp_path, bundles):
    publish(tmp_path, bundles[0])
    with (tmp_path / "repository/.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = Repository(tmp_path / "repository", lock_seconds=0.1)
        with pytest.raises(RepositoryBusyError, match="another publisher is at work"):
            second.publish(NAME, bundles[1], None, "keyword_spotting")
    assert publish(tmp_path, bundles[1]).version == "1.0.1"


def test_a_folder_that_is_no_repository_is_told_apart_from_a_damaged_one(tmp_path):
    with pytest.raises(RepositoryDamagedError, match="no repository here: check --repository"):
        load_root(tmp_path / "none")
    (tmp_path / "lost" / "metadata").mkdir(parents=True)
    with pytest.raises(RepositoryDamagedError, match=r"1\.root\.json: cannot be trusted"):
        load_root(tmp_path / "lost")


@pytest.mark.parametrize("file", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
@pytest.mark.parametrize("how", ["changed", "unsigned", "garbage", "gone"])
def test_tampered_metadata_is_never_signed_again(tmp_path, bundles, file, how):
    publish(tmp_path, bundles[0])
    path = tmp_path / "repository/metadata" / file
    content = json.loads(path.read_text())
    if how == "changed":
        content["signed"]["expires"] = "2099-01-01T00:00:00Z"
    content["signatures"] = [] if how == "unsigned" else content["signatures"]
    path.write_text("no" if how == "garbage" else json.dumps(content))
    if how == "gone":
        path.unlink()
    with pytest.raises(RepositoryDamagedError, match=file.replace(".", r"\.")):
        publish(tmp_path, bundles[1])


def test_a_swapped_root_is_refused(tmp_path, bundles):
    publish(tmp_path, bundles[0])
    other = tmp_path / "other"
    other.mkdir()
    publish(other, bundles[0])
    shutil.copy(other / "repository/metadata/1.root.json", tmp_path / "repository/metadata")
    with pytest.raises(RepositoryDamagedError):
        publish(tmp_path, bundles[1])

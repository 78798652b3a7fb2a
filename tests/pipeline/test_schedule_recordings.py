"""Whether recordings have changed, told by a listing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.schedule.recordings import listing_digest, settled


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("yes/a.wav", "yes/b.wav", "no/a.wav"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
    return tmp_path / "data"


def added(folder: Path) -> None:
    (folder / "no" / "b.wav").write_bytes(b"sound")


def removed(folder: Path) -> None:
    (folder / "yes" / "a.wav").unlink()


def moved(folder: Path) -> None:
    (folder / "yes" / "a.wav").rename(folder / "no" / "c.wav")


def longer(folder: Path) -> None:
    path = folder / "yes" / "a.wav"
    times = path.stat()
    path.write_bytes(b"more sound")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def as_long_but_later(folder: Path) -> None:
    path = folder / "yes" / "a.wav"
    before = path.stat().st_mtime_ns
    path.write_bytes(b"other")
    os.utime(path, ns=(before, before + 1))


def in_a_linked_folder(folder: Path) -> None:
    there = folder.parent / "more"
    there.mkdir()
    (folder / "stop").symlink_to(there)
    (there / "a.wav").write_bytes(b"sound")


@pytest.mark.parametrize(
    "change", [added, removed, moved, longer, as_long_but_later, in_a_linked_folder]
)
def test_a_change_is_seen(folder, change):
    before = listing_digest(folder, ["a"])
    assert listing_digest(folder, ["a"]) == before
    change(folder)
    assert listing_digest(folder, ["a"]) != before


def test_other_arguments_of_the_run_are_a_change(folder):
    assert listing_digest(folder, ["a", "b"]) != listing_digest(folder, ["ab"])


def test_hidden_files_and_links_that_lead_round_are_no_change(folder):
    before = listing_digest(folder, [])
    (folder / "yes" / ".a.wav.part").write_bytes(b"half")
    (folder / ".Trash").mkdir()
    (folder / ".Trash" / "a.wav").write_bytes(b"gone")
    (folder / "yes" / "round").symlink_to(folder)
    (folder / "yes" / "nowhere").symlink_to(folder / "missing")
    assert listing_digest(folder, []) == before


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        listing_digest(tmp_path / "missing", [])


def waits(looks: list[str], quiet: float, patience: float) -> tuple[str | None, float]:
    waited: list[float] = []

    def pause(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) < 50

    return settled(iter(looks).__next__, pause, quiet, patience), sum(waited)


def test_recordings_settle_when_two_looks_agree():
    assert waits(["a", "b", "c", "c", "d"], quiet=30, patience=3600) == ("c", 90)
    assert waits(["a", "a"], quiet=30, patience=3600) == ("a", 30)


def test_recordings_need_no_rest_if_none_is_asked_for():
    assert waits(["a", "b"], quiet=0, patience=3600) == ("a", 0)


def test_recordings_that_never_settle_are_given_up():
    assert waits(list("abcdefghij"), quiet=30, patience=120) == (None, 120)


def test_settling_ends_with_the_scheduler():
    assert settled(lambda: "a", lambda _: False, 30, 3600) is None

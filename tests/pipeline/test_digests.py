"""Digests of folders, read in full or by what is remembered."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import digests
from pipeline.digests import DigestMemory, artifact_digest, folder_digest


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def settled(folder: Path) -> Path:
    """`folder`, once its files are old enough to be remembered."""
    time.sleep(0.02)
    return folder


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "_SETTLED_NS", 10_000_000)
    return DigestMemory(tmp_path / "memory")


@pytest.fixture
def reads(monkeypatch):
    """The files that are read, as they are read."""
    seen: list[str] = []
    real = digests._file_digest

    def spy(path: Path) -> str:
        seen.append(path.name)
        return real(path)

    monkeypatch.setattr(digests, "_file_digest", spy)
    return seen


def test_the_digest_of_a_folder_is_over_names_and_contents(tmp_path):
    folder = tree(tmp_path, {"b/x": "two", "a": "one"})
    total = hashlib.sha256()
    for name, text in (("a", b"one"), ("b/x", b"two")):
        total.update(name.encode() + b"\0" + hashlib.sha256(text).digest())
    assert folder_digest(folder) == total.hexdigest()


def test_the_order_in_which_files_came_does_not_count(tmp_path):
    files = {"a/1": "x", "a/2": "y", "b": "z"}
    one = tree(tmp_path / "one", files)
    two = tree(tmp_path / "two", dict(reversed(files.items())))
    assert folder_digest(one) == folder_digest(two)


CHANGES = [
    {"a": "x", "b": "z"},
    {"a": "y", "b": "x"},
    {"a": "x", "c": "y"},
    {"a": "x"},
    {"a": "x", "b": "y", "c": ""},
    {"a": "x", "sub/b": "y"},
    {"a": "x", "b": "y", "sub/logs/c": "not at the top"},
]


@pytest.mark.parametrize("files", CHANGES)
def test_any_change_of_content_changes_the_digest(tmp_path, files):
    before = tree(tmp_path / "before", {"a": "x", "b": "y"})
    assert folder_digest(tree(tmp_path / "after", files)) != folder_digest(before)


def test_logs_do_not_count_in_an_artifact(tmp_path, memory):
    folder = tree(tmp_path / "made", {"a": "x"})
    before = artifact_digest(folder)
    tree(folder, {"logs/today": "12:00", "logs/deep/er": "more"})
    assert artifact_digest(folder) == before == memory.artifact_digest(folder)
    tree(folder, {"logsheet": "is content"})
    assert artifact_digest(folder) != before


def test_a_word_called_logs_counts(tmp_path, memory):
    folder = tree(tmp_path / "words", {"a/1.wav": "x"})
    before = memory.folder_digest(folder)
    tree(folder, {"logs/1.wav": "y"})
    assert memory.folder_digest(folder) == folder_digest(folder) != before


def test_what_lies_behind_a_link_counts(tmp_path, memory):
    elsewhere = tree(tmp_path / "elsewhere", {"1.wav": "x"})
    folder = tree(tmp_path / "words", {"a/1.wav": "x"})
    (folder / "b").symlink_to(elsewhere)
    (folder / "c.wav").symlink_to(elsewhere / "1.wav")
    before = memory.folder_digest(settled(folder))
    assert before == folder_digest(folder)
    (elsewhere / "1.wav").write_text("other")
    assert memory.folder_digest(folder) == folder_digest(folder) != before


def test_a_circle_of_links_ends(tmp_path, memory):
    folder = tree(tmp_path / "words", {"a/1.wav": "x"})
    before = folder_digest(folder)
    (folder / "a" / "up").symlink_to(folder)
    (folder / "broken").symlink_to(folder / "nowhere")
    assert folder_digest(folder) == before == memory.folder_digest(folder)


def test_a_name_that_is_no_text_is_a_name_too(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.wav")).write_text("x")
    assert folder_digest(tmp_path) != folder_digest(tree(tmp_path / "other", {"cafe.wav": "x"}))


def test_what_has_not_changed_is_not_read_again(tmp_path, memory, reads):
    folder = settled(tree(tmp_path / "data", {"a": "x", "sub/b": "y"}))
    assert memory.folder_digest(folder) == folder_digest(folder)
    reads.clear()
    assert memory.folder_digest(folder) == folder_digest(folder)
    assert reads == ["a", "b"]  # by folder_digest alone
    reads.clear()
    tree(folder, {"sub/c": "z"})
    assert memory.folder_digest(settled(folder)) == folder_digest(folder)
    assert sorted(reads) == ["a", "b", "c", "c"]


def test_a_change_that_puts_size_and_time_back_is_seen(tmp_path, memory):
    folder = settled(tree(tmp_path / "data", {"a": "one"}))
    before = memory.folder_digest(folder)
    status = (folder / "a").stat()
    (folder / "a").write_text("two")
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert memory.folder_digest(folder) != before


def test_a_file_that_may_still_change_is_not_remembered(tmp_path, monkeypatch, reads):
    monkeypatch.setattr(digests, "_SETTLED_NS", 3_600_000_000_000)
    memory = DigestMemory(tmp_path / "memory")
    folder = tree(tmp_path / "data", {"a": "x"})
    memory.folder_digest(folder)
    memory.folder_digest(folder)
    assert reads == ["a", "a"]


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"a": 1}', '{"a": [[1], "x"]}', "\0"])
def test_a_damaged_memory_is_no_memory(tmp_path, memory, damage):
    folder = settled(tree(tmp_path / "data", {"a": "x"}))
    memory.folder_digest(folder)
    (place,) = (tmp_path / "memory").iterdir()
    place.write_text(damage)
    assert memory.folder_digest(folder) == folder_digest(folder)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "remove"]), st.sampled_from("abc"), st.text("xy")),
        max_size=6,
    )
)
def test_the_memory_gives_what_reading_all_gives_whatever_happens(tmp_path_factory, changes):
    top = tmp_path_factory.mktemp("memory")
    memory, folder = DigestMemory(top / "memory"), top / "data"
    folder.mkdir()
    for what, name, text in changes:
        if what == "write":
            (folder / name).write_text(text)
        else:
            (folder / name).unlink(missing_ok=True)
        assert memory.folder_digest(folder) == folder_digest(folder)

"""Durable writes: whole or not at all, nothing left aside, and no needless wear."""

import errno
import os

import pytest

from edge_agent.update import durable
from edge_agent.update.errors import StorageError


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a"
    for data in (b"first", b"", b"second" * 1000):
        durable.write_whole(path, data)
        assert path.read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_equal_content_is_not_written_again(tmp_path):
    path = tmp_path / "a"
    durable.write_whole(path, b"same")
    before = path.stat()
    durable.write_whole(path, b"same")
    assert path.stat().st_ino == before.st_ino


def test_a_file_where_a_folder_is_to_be_is_said_to_be_one(tmp_path):
    (tmp_path / "a").touch()
    with (
        pytest.raises(StorageError, match=r"/a: is a file where a folder is to be"),
        durable.storage_errors(tmp_path / "a"),
    ):
        durable.make_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_refusal_leaves_what_was_there_and_nothing_aside(tmp_path, monkeypatch, step):
    path = tmp_path / "a"
    durable.write_whole(path, b"old")

    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(os, step, refuse)
    with (
        pytest.raises(StorageError, match=r"a: cannot be written \(No space left.*free some space"),
        durable.storage_errors(tmp_path),
    ):
        durable.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_link_that_lies_aside_leads_to_nothing_of_others(tmp_path):
    other, source = tmp_path / "other", tmp_path / "source"
    other.write_bytes(b"theirs")
    source.write_bytes(b"copied")
    for put in (durable.write_whole, lambda path, _: durable.copy(source, path)):
        path = tmp_path / "a"
        durable.aside(path).symlink_to(other)
        put(path, b"written")
        assert not path.is_symlink()
        assert other.read_bytes() == b"theirs"


def test_a_link_moves_in_one_step_from_whatever_was_there(tmp_path):
    link = tmp_path / "current"
    link.write_bytes(b"not even a link")
    for target in ("slots/a", "slots/b", "slots/b"):
        durable.replace_link(link, tmp_path / target)
        assert link.readlink() == tmp_path / target
    (tmp_path / ".current.part").write_bytes(b"left by one who was killed")
    durable.replace_link(link, tmp_path / "slots/a")
    assert link.readlink() == tmp_path / "slots/a"
    assert [p.name for p in tmp_path.iterdir()] == ["current"]


def test_sweep_removes_what_lies_aside_and_nothing_else(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("below/.a.part", ".b.part", "c.part", ".d", "below/.e.download"):
        (tmp_path / name).write_bytes(b"x")
    durable.sweep(tmp_path)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"c.part", ".d", "below/.e.download"}

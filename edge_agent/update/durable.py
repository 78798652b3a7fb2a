"""Writes that a power cut leaves either undone or whole: the one place of the device for them.

A file is written aside, synced, renamed to its place, and the folder is synced. A rename that
reaches the disk before the content does leaves an empty file; a folder that is not synced forgets
the rename.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from edge_agent.update.errors import StorageError

_ASIDE = ".part"


@contextlib.contextmanager
def storage_errors(root: Path) -> Iterator[None]:
    """Turns a refusal of the disk into a `StorageError` about the folder `root`."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as e:
        raise StorageError(
            f"{e.filename or root}: is a file where a folder is to be: name another folder than {root}"
        ) from e
    except OSError as e:
        raise StorageError(
            f"{e.filename or root}: cannot be written ({e.strerror or e}): free some space or give "
            f"write access to {root}, then try again"
        ) from e


def aside(path: Path) -> Path:
    """Where what is to become `path` grows; `sweep` removes it."""
    return path.with_name(f".{path.name}{_ASIDE}")


def write_whole(path: Path, data: bytes) -> None:
    """Makes `data` the content of `path`, durably; nothing is written where it is so already."""
    if _holds(path, data):
        sync_folder(path.parent)  # whoever wrote it may have been killed before this
        return
    part = aside(path)
    try:
        with _anew(part) as file:
            file.write(data)
        place(part, path)
    except BaseException:
        remove(part)
        raise


def place(part: Path, path: Path) -> None:
    """Syncs the file `part` and renames it to `path`, durably."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def copy(source: Path, path: Path) -> None:
    """Makes the content of the file `source` that of `path`, durably."""
    part = aside(path)
    try:
        with source.open("rb") as given, _anew(part) as file:
            shutil.copyfileobj(given, file)
        place(part, path)
    except BaseException:
        remove(part)
        raise


def replace_link(link: Path, target: Path) -> None:
    """Makes `link` a symbolic link to `target`, whatever it was before, in one step."""
    if link.is_symlink() and link.readlink() == target:
        sync_folder(link.parent)
        return
    part = aside(link)
    remove(part)
    part.symlink_to(target)
    try:
        os.replace(part, link)
    except BaseException:
        remove(part)
        raise
    sync_folder(link.parent)


def make_newest(path: Path, others: Iterable[Path]) -> None:
    """Gives the file `path` a later time than `others` have, though the clock was set back meanwhile.

    Raises:
        OSError: if the file is gone.
    """
    newest = 0
    for other in others:
        with contextlib.suppress(FileNotFoundError):
            newest = max(newest, other.stat().st_mtime_ns)
    if path.stat().st_mtime_ns <= newest:
        os.utime(path, ns=(newest + 1, newest + 1))


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it where they are missing, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def remove(path: Path) -> None:
    """Removes the file `path` if it is there and can be; what follows does not depend on it."""
    with contextlib.suppress(OSError):
        path.unlink()


def sweep(folder: Path) -> None:
    """Removes what killed writers left aside in and below `folder`."""
    for part in folder.rglob(f".*{_ASIDE}"):
        remove(part)


def sync_folder(folder: Path) -> None:
    """Waits until the names in `folder` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _anew(part: Path) -> BinaryIO:
    """`part`, opened to be written, and nothing that it leads to: root writes in folders of others."""
    remove(part)
    return part.open("xb")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False

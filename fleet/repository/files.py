"""Files that appear whole or not at all, and the lock against two publishers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from fleet.repository.errors import RepositoryBusyError, RepositoryWriteError

_ASIDE = ".part"


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes `data` aside, syncs it, renames it to `path` and syncs the folder (made if missing).

    Raises:
        RepositoryWriteError: if the disk refuses; `path` is as it was, or already the new one.
    """
    aside = path.with_name(f".{path.name}{_ASIDE}")
    try:
        _make_folder(path.parent)
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        _sync_folder(path.parent)
    except OSError as e:
        raise RepositoryWriteError(
            f"{path}: cannot be written ({e.strerror}): make room or give write access, "
            "then publish again"
        ) from e


def make_private_folder(folder: Path) -> None:
    """Makes `folder`, if it is missing, so that its owner alone may look inside.

    Raises:
        RepositoryWriteError: if it cannot be made.
    """
    if folder.is_dir():
        return
    try:
        _make_folder(folder)
        folder.chmod(0o700)
    except OSError as e:
        raise RepositoryWriteError(
            f"{folder}: cannot be made ({e.strerror}): give write access to {folder.parent}"
        ) from e


def sweep(folder: Path) -> None:
    """Removes what a killed publisher left aside under `folder`; call it under the lock."""
    for aside in folder.rglob(f".*{_ASIDE}"):
        with contextlib.suppress(OSError):
            aside.unlink()


@contextlib.contextmanager
def locked(path: Path, wait_seconds: float) -> Iterator[None]:
    """Holds the lock file `path`; the system lets go of it if the process dies.

    Raises:
        RepositoryBusyError: if another publisher still holds it after `wait_seconds`.
        RepositoryWriteError: if the lock file cannot be made.
    """
    try:
        _make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as e:
        raise RepositoryWriteError(
            f"{path}: cannot be made ({e.strerror}): choose a folder that you may write"
        ) from e
    try:
        _take(descriptor, path, time.monotonic() + wait_seconds)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RepositoryBusyError(
                    f"{path}: another publisher is at work: wait for it to end, then publish again"
                ) from None
            time.sleep(0.05)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

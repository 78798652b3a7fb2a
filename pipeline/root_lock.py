"""One run at a time at a root: a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from components.base import UserError

LOCK = ".lock"

_STEPS_END = 10.0  # seconds that the steps of a killed run are given to notice it
_POLL = 0.1


class RootBusy(UserError):
    """Another process is at work at this root."""


@contextlib.contextmanager
def hold(root: Path) -> Iterator[int]:
    """Holds the lock of `root`; gives its file descriptor.

    Steps inherit the descriptor, so the lock of a killed run is held on until its last step has
    ended too, which takes but a moment: that much is waited for.

    Raises:
        RootBusy: if somebody else holds it; names the process.
        OSError: if `root` cannot be written.
    """
    path = root / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    end = time.monotonic() + _STEPS_END
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            if _is_alive(holder):
                raise RootBusy(
                    f"{path.parent}: a run is under way there (process {holder}): wait for it, or "
                    "choose another --root"
                ) from None
            if time.monotonic() > end:
                raise RootBusy(
                    f"{path.parent}: a run there was killed, but one of its steps still runs: end "
                    f"the processes that hold {path} (`fuser {path}` lists them)"
                ) from None
            time.sleep(_POLL)


def _is_alive(process: str) -> bool:
    if not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

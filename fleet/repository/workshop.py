"""Where a repository is changed: its folder with the keys, lifetimes, clock and lock that this takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict, Unpack

from fleet.repository.files import locked, sweep
from fleet.repository.keys import Keys
from fleet.repository.sealing import Lifetimes, Sealer


def _now() -> datetime:
    return datetime.now(UTC)


class Settings(TypedDict, total=False):
    """How a repository is changed.

    Attributes:
        lifetimes: validity of what is signed.
        clock: gives the time in UTC; by default this machine's.
        lock_seconds: how long to wait for another publisher; 30 by default.
    """

    lifetimes: Lifetimes
    clock: Callable[[], datetime]
    lock_seconds: float


class Workshop:
    """The repository at `folder`, for whoever changes it.

    Attributes:
        folder: holds ``metadata/`` and ``targets/``; what a web server may serve.
        keys: in ``keys/`` beside the folder.
        lifetimes: validity of what is signed.
        clock: gives the time in UTC.
        sealer: signs with the keys.

    Args:
        folder: see above; need not be there yet.
        settings: how it is changed.
    """

    def __init__(self, folder: Path, **settings: Unpack[Settings]) -> None:
        self.folder = folder.absolute()
        self.keys = Keys(self.folder.parent / "keys")
        self.lifetimes = settings.get("lifetimes") or Lifetimes()
        self.clock = settings.get("clock", _now)
        self.sealer = Sealer(self.folder, self.keys, self.lifetimes, self.clock)
        self._lock_seconds = settings.get("lock_seconds", 30.0)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other publishers out; what a killed one left aside is gone.

        Raises:
            RepositoryBusyError: if another does not end in time.
        """
        with locked(self.folder / ".lock", self._lock_seconds):
            sweep(self.folder)
            yield

"""The server's clock, injected so that a simulation can let a week pass in a minute."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the moment, in seconds since 1970."""

    def __call__(self) -> float:
        """The moment."""


class SimulatedClock:
    """A clock that stands still until it is told to go on; it begins at the real moment."""

    def __init__(self, begin: float | None = None) -> None:
        self._now = time.time() if begin is None else begin
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """The moment."""
        return self._now

    def advance(self, seconds: float) -> float:
        """Lets `seconds` pass; gives the moment after."""
        with self._lock:
            self._now += max(0.0, seconds)
            return self._now

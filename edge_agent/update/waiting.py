"""How long to wait: until when, at what pace, and before which next try. Clocks are given in."""

from __future__ import annotations

import dataclasses
import email.utils
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What fetching may cost.

    Attributes:
        total_seconds: for everything that one client fetches, however slowly it trickles.
        connect_seconds: for finding the server's address and reaching it.
        idle_seconds: without a byte.
        redirects: followed for one file.
        tries: of one file, when the server is busy or the connection breaks.
        patience_seconds: the longest wait between two tries; a server that asks for more is left.
        bytes_per_second: the highest rate of a download; None for as fast as it goes.
        disk_bytes: the most that the device folder may hold, what is being fetched among it; None for
            as much as there is room.
    """

    total_seconds: float = 900.0
    connect_seconds: float = 10.0
    idle_seconds: float = 30.0
    redirects: int = 5
    tries: int = 5
    patience_seconds: float = 60.0
    bytes_per_second: int | None = None
    disk_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.bytes_per_second is not None and self.bytes_per_second < 1:
            raise ValueError("bytes_per_second must be at least 1")


@dataclasses.dataclass(frozen=True)
class Deadline:
    """The moment `at` (of `time.monotonic`) after which nothing is waited for any more."""

    at: float

    def left(self) -> float:
        """Seconds that are left; TimeoutError when none are."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("total time used up")
        return left

    def next_wait(self, longest: float) -> float:
        """Seconds that the next step may take, at most `longest`; TimeoutError when none."""
        return min(self.left(), longest)


def back_off(attempt: int, longest: float, chance: float) -> float:
    """Seconds before the try after `attempt` (from 0): doubling from 1 s, and then by lot.

    Args:
        attempt: tries that failed before.
        longest: no wait is longer.
        chance: in [0, 1); spreads many devices over the whole interval ("full jitter").
    """
    return float(min(longest, 2.0 ** min(attempt, 30)) * chance)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None if it says nothing."""
    text = (header or "").strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


class Pace:
    """Holds a download to `bytes_per_second` (None: no limit), by sleeping after each piece.

    A quarter of a second's bytes may come at once, so that a slow link is not cut into tiny pieces.
    """

    def __init__(
        self,
        bytes_per_second: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    def piece(self, longest: int) -> int:
        """Bytes to ask for next, at most `longest`."""
        return longest if self._rate is None else max(1, min(longest, self._rate // 4))

    def spend(self, count: int) -> None:
        """Waits as long as `count` bytes are worth."""
        if self._rate is None:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now) + count / self._rate
        self._sleep(self._free_at - now)

"""How often somebody may ask: a bucket for each device, operator and failed log-in, in this process alone.

A bucket holds a minute's worth of requests, one at least, and fills up evenly, by the generic cell rate
algorithm (ITU-T I.371): of each bucket only the moment is kept at which it will be full again, so a full
one is nothing at all, and asking takes one look-up.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Hashable

from fleet.server.problems import Problem

_MOST = 100_000


class Buckets:
    """Buckets of one kind.

    Args:
        rate: requests a minute, above 0.
        clock: tells seconds that never go back.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60.0 / rate
        self._depth = max(0.0, 60.0 - self._interval)  # one request at least
        self._clock = clock
        self._full: dict[Hashable, float] = {}
        self._sweep = _MOST

    def take(self, key: Hashable) -> None:
        """Takes one request out of the bucket.

        Raises:
            Problem: 429 if there is none in it.
        """
        now = self._clock()
        full = self._full.get(key, now)
        if full - now > self._depth:
            raise _too_often(full - now - self._depth)
        self._full[key] = max(full, now) + self._interval
        if len(self._full) > self._sweep:
            self._forget(now)

    def check(self, key: Hashable) -> None:
        """Takes nothing.

        Raises:
            Problem: 429 if there is no request in the bucket.
        """
        full = self._full.get(key)
        if full is not None and full - self._clock() > self._depth:
            raise _too_often(full - self._clock() - self._depth)

    def _forget(self, now: float) -> None:
        """Drops full buckets, which say nothing; what is left may double before that is done again."""
        self._full = {key: full for key, full in self._full.items() if full > now}
        self._sweep = max(_MOST, 2 * len(self._full))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a server; None is none.

    Attributes:
        device: requests of a device.
        operator: requests of an operator, by API or pages.
        refused: log-ins that failed, by address, and for devices by the id that was claimed: so a device
            with a wrong token does not lock out those that share its address.
    """

    device: Buckets | None = None
    operator: Buckets | None = None
    refused: Buckets | None = None


def _too_often(wait: float) -> Problem:
    seconds = max(1, math.ceil(wait))
    return Problem(429, f"too often: come again in {seconds} s", {"Retry-After": str(seconds)})

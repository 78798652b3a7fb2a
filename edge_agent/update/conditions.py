"""When, and over which network, a release may be fetched: the maintenance window and metered networks."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable
from datetime import time
from fnmatch import fnmatchcase
from pathlib import Path

from edge_agent.update.errors import WaitingError

_WINDOW = re.compile(r"\d\d:\d\d-\d\d:\d\d", re.ASCII)
_IPV4 = Path("/proc/net/route")
_IPV6 = Path("/proc/net/ipv6_route")
_UP = 0x1
_REJECT = 0x200


@dataclasses.dataclass(frozen=True)
class Window:
    """A time of the day, of this device's own clock; over midnight where `end` is before `begin`."""

    begin: time
    end: time

    def __contains__(self, moment: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end


def parse_window(text: str) -> Window:
    """The window that ``HH:MM-HH:MM`` says.

    Raises:
        ValueError: if it says none.
    """
    begin = end = time()
    if _WINDOW.fullmatch(text):
        with contextlib.suppress(ValueError):
            begin, end = (time.fromisoformat(part) for part in text.split("-"))
    if begin == end:
        raise ValueError('window must be two times of the day, as in "02:00-04:30"')
    return Window(begin, end)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditions:
    """What must hold before a release is fetched.

    Attributes:
        window: when; None for at any time.
        metered_bytes: the most that one may take over a metered network; None for no limit.
        metered_interfaces: patterns of the names of those that are metered, as in ``wwan*``.
    """

    window: Window | None = None
    metered_bytes: int | None = None
    metered_interfaces: tuple[str, ...] = ()

    def most_bytes(self, moment: time, interfaces: Iterable[str]) -> int | None:
        """The most bytes that may be fetched now; None for no limit.

        Args:
            moment: of the device's day.
            interfaces: by which the world is reached.

        Raises:
            WaitingError: if nothing may be.
        """
        if self.window is not None and moment not in self.window:
            begin, end = (f"{at:%H:%M}" for at in (self.window.begin, self.window.end))
            raise WaitingError(f"waits for the maintenance window, {begin} to {end}")
        metered = any(
            fnmatchcase(name, pattern) for name in interfaces for pattern in self.metered_interfaces
        )
        return self.metered_bytes if metered else None


def default_interfaces(ipv4: Path = _IPV4, ipv6: Path = _IPV6) -> set[str]:
    """The interfaces of the default routes, as the kernel lists them; none where it does not say."""
    found = set()
    for words in _table(ipv4):
        if len(words) > 7 and words[1] == words[7] == "00000000" and int(words[3], 16) & _UP:
            found.add(words[0])
    for words in _table(ipv6):
        if len(words) > 9 and set(words[0] + words[1]) == {"0"}:
            flags = int(words[8], 16)
            if flags & _UP and not flags & _REJECT:
                found.add(words[9])
    return found


def _table(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return []

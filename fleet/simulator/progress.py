"""How far a simulation is, and how long it will still take, for the person who waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

_EVERY_S = 10.0
_USUAL_GROWTH = 2.0
_LEAST_GROWTH = 1.2  # a group that hardly grows is at its beginning, or about to halt


class Progress:
    """Tells of a simulation every ten seconds.

    Args:
        devices: how many there are.
        tell: takes a line.
        clock: seconds that pass for the person.
    """

    def __init__(
        self,
        devices: int,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._devices = devices
        self._tell = tell
        self._clock = clock
        self._told = self._began = clock()
        self._step_took = 0.0
        self._where = "registering"
        self._steps_left: int | None = None

    def polled(self, done: int, of: int) -> None:
        """So many of the devices polled in this step."""
        now = self._clock()
        if now < self._told + _EVERY_S:
            return
        self._told = now
        left = ""
        if self._steps_left is not None:
            share = 1 - done / max(1, of)
            left = f"; about {_duration((self._steps_left - 1 + share) * self._step_took)} left"
        self._tell(f"{self._where}: {done:,} of {of:,} polled in this step{left}")

    def stepped(self, groups: Sequence[dict[str, Any]], steps_left: int) -> None:
        """A step is over, after which the rollout's groups stand so."""
        now = self._clock()
        self._step_took, self._began = now - self._began, now
        self._steps_left = max(1, steps_left)
        touched = sum(group["touched"] for group in groups)
        busy = next((g["name"] for g in groups if g["state"] != "done"), groups[-1]["name"])
        self._where = f"{busy}: {touched:,} of {self._devices:,} devices touched"


def steps_left(groups: Sequence[dict[str, Any]], exposure: int, growth: float, wait: int) -> int:
    """About how many steps a rollout takes that goes well.

    Args:
        groups: of the rollout's status.
        exposure: devices that a group begins with.
        growth: how many times as many devices of a group are touched after a step as before it.
        wait: steps until a silent device times out, which the last ones of a rollout may do.
    """
    growth = growth if growth > _LEAST_GROWTH else _USUAL_GROWTH
    steps = 0
    for group in groups:
        if group["state"] != "done" and group["touched"] < group["devices"]:
            begun = max(group["touched"], min(exposure, group["devices"]))
            steps += 1 + math.ceil(math.log(group["devices"] / begun) / math.log(growth))
    return steps + wait


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

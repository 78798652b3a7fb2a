"""How fast a step goes, and how long it still takes at that speed."""

from __future__ import annotations

from collections import deque

_WINDOW_SECONDS = 60.0


class Pace:
    """Time left of one step, from the speed of its last minute.

    The speed of a window, not of the whole step: start-up, and epochs that slow down once a later
    phase begins, would otherwise spoil the estimate. A total that changes, or progress that goes
    back, means a new phase, and the estimate starts anew.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()
        self._total = 0.0

    def at(self, now: float, done: float, total: float) -> None:
        """Notes that `done` of `total` is done at `now` (seconds on any steady clock)."""
        if total != self._total or (self._samples and done < self._samples[-1][1]):
            self._samples.clear()
            self._total = total
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW_SECONDS:
            self._samples.popleft()

    def seconds_left(self, now: float) -> float | None:
        """Seconds to the end of the step, counting down between reports; None if not known yet."""
        if len(self._samples) < 2:
            return None
        (first_time, first_done), (last_time, last_done) = self._samples[0], self._samples[-1]
        if last_done <= first_done or last_time <= first_time:
            return None
        speed = (last_done - first_done) / (last_time - first_time)
        left = (self._total - last_done) / speed
        return max(0.0, left - (now - last_time))

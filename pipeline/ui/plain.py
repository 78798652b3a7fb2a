"""The steps under way where there is no terminal: few lines, each whole in itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from pipeline.ui.figures import duration, number
from pipeline.ui.pace import Pace

_SECONDS_BETWEEN_LINES = 30.0


@dataclasses.dataclass
class _Step:
    title: str
    pace: Pace
    last_line: float


class PlainSteps:
    """A line when a step begins, and at most one every 30 s until it ends."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._under_way: dict[str, _Step] = {}

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to restore."""

    def started(self, id: str, title: str) -> None:
        """Tells of the start."""
        self._under_way[id] = _Step(title, Pace(), self._clock())
        self._line(f"> {title}")

    def progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        """Tells of the progress, if the step's last line is 30 s old."""
        step = self._under_way.get(id)
        if step is None:
            return
        now = self._clock()
        step.pace.at(now, done, total)
        if now - step.last_line < _SECONDS_BETWEEN_LINES:
            return
        step.last_line = now
        parts = [f"  {step.title}  {number(done)}/{number(total)} {unit}"]
        left = step.pace.seconds_left(now)
        if left is not None:
            parts.append(f"{duration(left)} left")
        if note:
            parts.append(note)
        self._line(" · ".join(parts))

    def ended(self, id: str) -> None:
        """Stops telling of the step."""
        self._under_way.pop(id, None)

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

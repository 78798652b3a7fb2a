"""The step under way where there is no terminal: few lines, each whole in itself."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from pipeline.ui.figures import duration, number
from pipeline.ui.pace import Pace

_SECONDS_BETWEEN_LINES = 30.0


class PlainSteps:
    """A line when a step begins, and at most one every 30 s until it ends."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._title = ""
        self._pace = Pace()
        self._last_line = 0.0

    def open(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to restore."""

    def started(self, title: str) -> None:
        """Tells of the start."""
        self._title = title
        self._pace = Pace()
        self._last_line = self._clock()
        self._line(f"> {title}")

    def progress(self, done: float, total: float, unit: str, note: str) -> None:
        """Tells of the progress, if the last line is 30 s old."""
        now = self._clock()
        self._pace.at(now, done, total)
        if not self._title or now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        parts = [f"  {self._title}  {number(done)}/{number(total)} {unit}"]
        left = self._pace.seconds_left(now)
        if left is not None:
            parts.append(f"{duration(left)} left")
        if note:
            parts.append(note)
        self._line(" · ".join(parts))

    def ended(self) -> None:
        """Stops telling of the step."""
        self._title = ""

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

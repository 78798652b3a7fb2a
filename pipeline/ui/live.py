"""The steps under way on a terminal: a live bar each, with the time left."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from pipeline.ui.figures import duration, number
from pipeline.ui.pace import Pace


class LiveSteps:
    """A bar that appears with a step and goes with it; what is printed scrolls above it."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tasks: dict[str, TaskID] = {}
        self._paces: dict[TaskID, Pace] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=18),
            _TimeLeft(self._seconds_left),
            TextColumn(
                "{task.fields[note]}",
                markup=False,
                style="dim",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=5,
            get_time=clock,
        )

    def open(self) -> None:
        """Takes hold of the terminal's last line."""
        self._progress.start()

    def close(self) -> None:
        """Gives the terminal back."""
        self._progress.stop()

    def started(self, id: str, title: str) -> None:
        """Shows a bar that pulses until the first progress is known."""
        task = self._progress.add_task(
            title, start=False, visible=False, total=None, note="starting"
        )
        self._tasks[id], self._paces[task] = task, Pace()
        self._progress.start_task(task)
        self._progress.update(task, visible=True)

    def progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        """Moves the bar."""
        task = self._tasks.get(id)
        if task is None:
            return
        self._paces[task].at(self._clock(), done, total)
        said = f"{number(done)}/{number(total)} {unit}" + (f" · {note}" if note else "")
        self._progress.update(task, completed=done, total=total, note=said, refresh=True)

    def ended(self, id: str) -> None:
        """Takes the bar away."""
        task = self._tasks.pop(id, None)
        if task is not None:
            self._progress.remove_task(task)
            self._progress.refresh()

    def _seconds_left(self, task: TaskID) -> float | None:
        return self._paces[task].seconds_left(self._clock())


class _TimeLeft(ProgressColumn):
    """Time passed and, once it can be told, the time left."""

    def __init__(self, seconds_left: Callable[[TaskID], float | None]) -> None:
        super().__init__(Column(no_wrap=True))
        self._seconds_left = seconds_left

    def render(self, task: Task) -> Text:
        """The two times as text."""
        passed = duration(task.elapsed or 0.0)
        left = self._seconds_left(task.id)
        if left is None:
            return Text(passed, "dim")
        return Text.assemble((passed, "dim"), "  ", (f"{duration(left)} left", "cyan"))

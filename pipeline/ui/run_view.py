"""The view of a run: live bars on a terminal, plain occasional lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.text import Text

from pipeline.ui.figures import duration, number, words
from pipeline.ui.live import LiveSteps
from pipeline.ui.plain import PlainSteps
from pipeline.ui.summary import SummaryExtras, summary_lines

_SHOWN_METRICS = 4


class Steps(Protocol):
    """How the steps under way are shown; each is known by its id."""

    def open(self) -> None:
        """Begins showing."""

    def close(self) -> None:
        """Ends showing, leaving the terminal as it was found."""

    def started(self, id: str, title: str) -> None:
        """A step begins."""

    def progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        """`done` of `total` `unit`s of the step are done."""

    def ended(self, id: str) -> None:
        """The step is over, well or not; one that is not under way is passed over."""


class RunView:
    """What a person sees of a run; everything goes to stderr (or `stream`).

    Use it as a context manager. On a terminal each step under way has a live bar with its time left;
    elsewhere a line tells of each start and end, and one every 30 s of the progress between. The
    time left is the step's: how long the steps to come take is not known before they start.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False)
        steps = LiveSteps if self._console.is_terminal else PlainSteps
        self._steps: Steps = steps(self._console, clock)
        self._titles: dict[str, str] = {}

    def __enter__(self) -> RunView:
        self._steps.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def step_started(self, id: str, number: int, of: int) -> None:
        """Step `id`, the `number`-th (from 1) of `of`, begins."""
        self._titles[id] = _title(id, number, of)
        self._steps.started(id, self._titles[id])

    def step_cached(self, id: str, number: int, of: int) -> None:
        """Step `id`, the `number`-th (from 1) of `of`, need not run."""
        line = Text.assemble(("= ", "bold green"), _title(id, number, of), ("  cached", "dim"))
        self._print(line)

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str = "") -> None:
        """`done` of `total` `unit`s of step `id` are done; `note` may say more."""
        self._steps.progress(id, done, total, unit, note)

    def step_finished(self, id: str, seconds: float, metrics: Mapping[str, float]) -> None:
        """Step `id` ended well after `seconds`; the first few `metrics` are shown."""
        self._steps.ended(id)
        title = self._titles.pop(id)
        line = Text.assemble(("✓ ", "bold green"), title, (f"  {duration(seconds)}", "dim"))
        shown = [f"{words(k)} {number(v)}" for k, v in list(metrics.items())[:_SHOWN_METRICS]]
        if shown:
            line.append("  " + " · ".join(shown), "cyan")
        self._print(line)

    def step_failed(self, id: str, message: str) -> None:
        """Step `id` failed; `message` says why and what to do."""
        self._steps.ended(id)
        title = self._titles.pop(id)
        self._print(Text.assemble(("✗ ", "bold red"), title, "  ", (message, "red")))

    def warning(self, message: str) -> None:
        """Something the user should know, without the run stopping."""
        self._print(Text.assemble(("! ", "bold yellow"), (f"warning: {message}", "yellow")))

    def summary(self, report: Mapping[str, Any], extras: SummaryExtras | None = None) -> None:
        """The final table of `report` (the content of report.json) and what to try next."""
        self._close()
        for part in summary_lines(report, extras or {}):
            self._console.print(part, soft_wrap=isinstance(part, Text))

    def _close(self) -> None:
        for id in list(self._titles):
            self._steps.ended(id)
        self._steps.close()

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def _title(id: str, number: int, of: int) -> str:
    return f"[{number:>{len(str(of))}}/{of}] {id}"

"""What a person sees of a study: a line a run, with the time that is left; everything goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from pipeline.ui.figures import duration, percent, size

if TYPE_CHECKING:
    from components.base import Metrics
    from pipeline.study.ledger import Record
    from pipeline.study.techniques import Candidate

_EVERY_S = 30.0


class StudyView:
    """Shows runs, not steps: a study has hundreds of those. Warnings are shown once each.

    It is a `pipeline.runner.View` and a `pipeline.study.trials.Told`.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._said: set[str] = set()
        self._last = clock()
        self._done = self._of = 0
        self._ends: float | None = None

    def rung(self, title: str, runs: int) -> None:
        """A rung with so many runs begins."""
        self._done, self._of = 0, runs
        self._line(f"== {title}: {runs} runs at most")

    def ran(self, candidate: Candidate, record: Record, left_s: float) -> None:
        """A run is over; `left_s` seconds of the budget are left."""
        self._done += 1
        self._ends = self._clock() + left_s
        what = f"failed: {record.failed}"
        if not record.failed:
            accuracy = percent(record.metrics["val_accuracy"])
            what = f"validation {accuracy}, {size(record.metrics['bytes'])}"
        if record.rung == "release" and record.refusals:
            what += f", refused by {' and '.join(r.gate for r in record.refusals)}"
        seed = f", seed {record.seed}" if record.rung == "final" else ""
        self._line(
            f"[{self._done}/{max(self._of, self._done)}] {candidate.name}{seed}: {what} "
            f"({duration(record.seconds)}; {duration(max(0.0, left_s))} left)"
        )

    def step_started(self, id: str, number: int, of: int) -> None:
        """Steps are not shown."""

    def step_cached(self, id: str, number: int, of: int) -> None:
        """Steps are not shown."""

    def step_finished(self, id: str, seconds: float, metrics: Metrics) -> None:
        """Steps are not shown."""

    def step_failed(self, id: str, message: str) -> None:
        """The run that it belongs to says so."""

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        """A long step shows now and then that it goes on."""
        if self._clock() - self._last >= _EVERY_S and total:
            left = ""
            if self._ends is not None:
                left = f" ({duration(max(0.0, self._ends - self._clock()))} left)"
            self._line(f"   ... {id} {100 * done / total:.0f}%{left}")

    def warning(self, message: str) -> None:
        """Something the user should know, that stops nothing."""
        if message not in self._said:
            self._said.add(message)
            self._line(f"! {message}")

    def _line(self, text: str) -> None:
        self._last = self._clock()
        print(text, file=self._stream, flush=True)

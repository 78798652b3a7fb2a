"""How a metric, a time and a state are written on the pages."""

from __future__ import annotations

import datetime
from typing import Protocol

from pipeline.ui.figures import duration, milliseconds, number, operations, percent, size, words

_SHARES = ("accuracy", "agreement", "sparsity", "drop", "recall", "precision", "share", "rate")
_SIGNS = {
    "complete": "✓",
    "cached": "↺",
    "running": "…",
    "refused": "✗",
    "failed": "✗",
    "interrupted": "■",
}
_SAID = {"cached": "hit"}


def figure(metric: str, value: float) -> str:
    """A metric's value as its name asks: a share, bytes, milliseconds, operations or a plain number."""
    name = metric.rpartition(".")[2]
    if value < 0 or value != value or value == float("inf"):
        return number(value)
    if any(part in _SHARES for part in name.split("_")) and value <= 1:
        return percent(value)
    if name.endswith("bytes"):
        return size(value)
    if "latency_ms" in name:
        return milliseconds(value)
    return operations(value) if name == "macs" else number(value)


def metric_title(metric: str) -> str:
    """``Evaluator.int8_accuracy`` as words, without the step."""
    return words(metric.rpartition(".")[2])


class Timed(Protocol):
    """A run or a step."""

    @property
    def state(self) -> str:
        """How it stands."""
        ...

    @property
    def started(self) -> datetime.datetime:
        """When it began, UTC."""
        ...

    @property
    def seconds(self) -> float | None:
        """How long it took, if it has finished."""
        ...


def took(timed: Timed) -> str:
    """How long a run or a step took, or has taken so far; a dash if nobody knows."""
    if timed.seconds is not None:
        return duration(max(0.0, timed.seconds))
    if timed.state != "running":
        return "–"
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return f"{duration(max(0.0, (now - timed.started).total_seconds()))} so far"


def moment(time: datetime.datetime) -> str:
    """A time of day, UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def state_text(state: str) -> str:
    """A state with its sign, for those who see no colour."""
    return f"{_SIGNS.get(state, '?')} {_SAID.get(state, state)}"

"""How long runs take, and how much each may learn so that the study ends in time. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

_STEP_OVERHEAD_S = 8.0  # starting a step, importing its libraries
_MOST_OVERHEAD = 0.6  # of a run's time, where it was measured at one length only
_SLACK = 1.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """How long a run took.

    Attributes:
        examples: that the Trainer saw.
        seconds: all its steps together.
        steps: how many there were.
    """

    examples: int
    seconds: float
    steps: int


def predicted(runs: Sequence[Timed], examples: int) -> float:
    """Seconds that a run over `examples` takes, after what `runs` of the same candidate took.

    A straight line through the shortest and the longest of them; through one, the overhead is guessed.
    """
    short = min(runs, key=lambda run: run.examples)
    long = max(runs, key=lambda run: run.examples)
    if long.examples > short.examples and long.seconds > short.seconds:
        rate = (long.seconds - short.seconds) / (long.examples - short.examples)
        return max(0.0, long.seconds + rate * (examples - long.examples)) * _SLACK
    overhead = min(_STEP_OVERHEAD_S * long.steps, _MOST_OVERHEAD * long.seconds)
    return (overhead + (long.seconds - overhead) * examples / long.examples) * _SLACK


def affordable(
    runs_of: Mapping[str, Sequence[Timed]], seconds: float, *, least: int, most: int
) -> int:
    """The most examples, `least` to `most`, at which one run of each candidate fits into `seconds`.

    0 if not even `least` fits.
    """

    def total(examples: int) -> float:
        return sum(predicted(runs, examples) for runs in runs_of.values())

    if total(least) > seconds:
        return 0
    low, high = least, most
    while high - low > least // 16 + 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) <= seconds else (low, middle)
    return high if total(high) <= seconds else low

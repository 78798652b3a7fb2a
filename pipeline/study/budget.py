"""How long a step takes after what it took before, and how much may be learned in a time. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

# Building and tracing a network takes as long as training it on some so many: 20,000 were measured on a
# machine at rest and on a crowded one, where both take a multiple of the time.
_STARTING = 16_384
_SLACK = 1.05
_LEAST_GROWTH = 1.5  # between two lengths for a line through both to say anything


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """How long a step of training took.

    Attributes:
        examples: that it saw.
        seconds: from its start to its end.
    """

    examples: int
    seconds: float


def predicted(runs: Sequence[Timed], examples: int) -> float:
    """Seconds that a step takes to see `examples`, after what `runs` of it took.

    A straight line through the shortest and the longest of them; through one, or two of nearly one
    length, what it takes to start is guessed.
    """
    short = min(runs, key=lambda run: run.examples)
    long = max(runs, key=lambda run: run.examples)
    if long.examples >= _LEAST_GROWTH * short.examples and long.seconds > short.seconds:
        rate = (long.seconds - short.seconds) / (long.examples - short.examples)
        return max(0.0, long.seconds + rate * (examples - long.examples)) * _SLACK
    return long.seconds * (_STARTING + examples) / (_STARTING + long.examples) * _SLACK


def affordable(total: Callable[[int], float], seconds: float, *, least: int, most: int) -> int:
    """The most examples, `least` to `most`, whose `total` seconds fit into `seconds`.

    0 if not even `least` fits.
    """
    if total(least) > seconds:
        return 0
    low, high = least, max(least, most)
    while high - low > least // 16 + 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle) <= seconds else (low, middle)
    return high if total(high) <= seconds else low

"""Arrays of rows, and the recurrences over them that every detector is made of.

A stream may come in blocks of any size: what a recurrence gives for a row depends on the rows
before it, and on nothing about how they were cut into blocks.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

# Rows of a stream in order: shape (rows, channels).
Rows = npt.NDArray[np.float64]
# Something about each of their values: shape (rows, channels).
Mask = npt.NDArray[np.bool_]
Parameters = dict[str, npt.NDArray[np.float32]]

_STEPS = 64
_NEVER = 2**40  # rows


class ExponentialMean:
    """``mean += alpha * (row - mean)`` along a stream, from its first row or a given start."""

    def __init__(self, alpha: float, start: npt.NDArray[np.float64] | None = None) -> None:
        """Forgets with a time constant of ``1 / alpha`` rows.

        Args:
            alpha: weight of the newest row, above 0 and at most 1.
            start: the mean before the first row, shape (channels,); the first row itself if None.
        """
        self.alpha = alpha
        self.mean = start

    def process(self, rows: Rows) -> Rows:
        """The mean after each of `rows`: shape (rows, channels)."""
        means = np.empty_like(rows)
        if not len(rows):
            return means
        mean = rows[0] if self.mean is None else self.mean
        if len(rows) == 1:
            means[0] = mean + self.alpha * (rows[0] - mean)
            self.mean = means[0].copy()
            return means
        kernel, decay = _kernel(self.alpha)
        for begin in range(0, len(rows), _STEPS):
            block = rows[begin : begin + _STEPS]
            n = len(block)
            means[begin : begin + n] = kernel[:n, :n] @ block + decay[:n] * mean
            mean = means[begin + n - 1]
        self.mean = mean.copy()
        return means


@functools.cache
def _kernel(alpha: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How much each of `_STEPS` rows, and the mean before them, weighs in the mean after each."""
    powers = (1.0 - alpha) ** np.arange(_STEPS + 1)
    age = np.arange(_STEPS)[:, None] - np.arange(_STEPS)
    kernel = np.where(age >= 0, alpha * powers[np.maximum(age, 0)], 0.0)
    return kernel, powers[1:, None]


class Lags:
    """Each row beside the `count - 1` before it; before the first row stands the first row."""

    def __init__(self, count: int) -> None:
        """Keeps ``count - 1`` rows."""
        self.count = count
        self.kept: Rows | None = None

    def process(self, rows: Rows) -> Rows:
        """Shape (rows, count * channels), newest first."""
        if not len(rows) or self.count == 1:
            return np.tile(rows, (1, self.count))
        before = np.repeat(rows[:1], self.count - 1, axis=0) if self.kept is None else self.kept
        joined = np.concatenate([before, rows])
        self.kept = joined[len(joined) - self.count + 1 :]
        n, first = len(rows), self.count - 1
        return np.concatenate([joined[first - k : first - k + n] for k in range(self.count)], 1)


# Larger values are no measurements, and would not survive float32: they count as missing.
LARGEST = 1e30


def present(rows: Rows) -> Mask:
    """Which values are there: finite, and at most `LARGEST` either way."""
    with np.errstate(invalid="ignore"):
        return np.abs(rows) <= LARGEST


class Held:
    """Each missing value (see `present`) replaced by the last one there was in its channel."""

    def __init__(self) -> None:
        """Holds nothing yet: what is missing before a channel's first value stays missing."""
        self.last: npt.NDArray[np.float64] | None = None

    def process(self, rows: Rows) -> Rows:
        """The next rows of the stream, filled."""
        if not len(rows):
            return rows
        there = present(rows)
        if not there.all():
            last = np.full(rows.shape[1], np.nan) if self.last is None else self.last
            if len(rows) == 1:
                self.last = np.where(there[0], rows[0], last)
                return self.last[None, :].copy()
            joined = np.concatenate([last[None, :], rows])
            place = np.where(present(joined), np.arange(len(joined))[:, None], 0)
            rows = np.take_along_axis(joined, np.maximum.accumulate(place, axis=0), axis=0)[1:]
        self.last = rows[-1].copy()
        return rows


class Gone:
    """Which channels have had no value for more than `hold_rows` rows, or never one (see `present`)."""

    def __init__(self, hold_rows: int | None) -> None:
        """Has seen nothing yet: every channel is gone until its first value; none ever is if None."""
        self.hold_rows = hold_rows
        self._age: npt.NDArray[np.int64] | None = None

    def process(self, rows: Rows) -> Mask:
        """Of the next rows of the stream, before anything is held."""
        if self.hold_rows is None or not len(rows):
            return np.zeros(rows.shape, bool)
        age = np.full(rows.shape[1], _NEVER) if self._age is None else self._age
        place = np.arange(len(rows))[:, None]
        last = np.where(present(rows), place, -1 - age)
        ages = place - np.maximum.accumulate(last, axis=0)
        self._age = np.minimum(ages[-1], _NEVER)
        gone: Mask = ages > self.hold_rows
        return gone


def as_parameters(**arrays: npt.NDArray[Any]) -> Parameters:
    """The arrays as a bundle carries them: float32, contiguous."""
    return {name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()}


def positive(scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`scale` with 1 where it is 0 or not finite: a channel that never moved."""
    return np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)

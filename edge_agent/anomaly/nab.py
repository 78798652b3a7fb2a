"""The windowed score of the Numenta Anomaly Benchmark, from its published definition.

Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark",
ICMLA 2015. Each labelled window counts once, by its earliest detection: more the earlier, from the
scaled sigmoid of the relative position, which is 1 at the window's begin (by definition of the
weight) and near 0 at its end. A window without detection costs the profile's weight of a miss. Every
detection outside costs up to the weight of a false positive: little just after a window, all of it
far away or before the first. The first 15% of a series, at most 750 rows, are for learning, and do
not count. 0 is what silence gets, 100 a detection at the first row of every window and no other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """What a missed window and a false detection cost, a found window being worth up to 1."""

    miss: float
    false: float


PROFILES = {
    "standard": Profile(miss=1.0, false=0.11),
    "reward_low_fp": Profile(miss=1.0, false=0.22),
    "reward_low_fn": Profile(miss=2.0, false=0.11),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """What was detected in one series.

    Attributes:
        rows: its length.
        windows: first and last row of each labelled window, in order.
        detections: rows at which an anomaly was said to be.
    """

    rows: int
    windows: Sequence[tuple[int, int]]
    detections: npt.NDArray[np.int64]


def probation(rows: int) -> int:
    """Rows at the beginning of a series that do not count."""
    return math.floor(0.15 * min(rows, 5000))


def scaled_sigmoid(position: float) -> float:
    """``2 / (1 + exp(5 * position)) - 1``, and -1 beyond 3 windows' lengths."""
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def raw_score(series: Series, profile: Profile) -> float:
    """Sum of what detections earn and cost in one series, before it is scaled."""
    begin = probation(series.rows)
    counted = np.sort(series.detections[series.detections >= begin])
    outside = np.ones(len(counted), bool)
    total = 0.0
    for first, last in series.windows:
        within = (counted >= first) & (counted <= last)
        outside &= ~within
        if within.any():
            position = -(last - int(counted[within][0]) + 1) / (last - first + 1)
            total += scaled_sigmoid(position) / scaled_sigmoid(-1.0)
        else:
            total -= profile.miss
    for row in counted[outside].tolist():
        before = [w for w in series.windows if w[1] < row]
        if before:
            first, last = before[-1]
            cost = scaled_sigmoid((row - last) / max(last - first, 1))
        else:
            cost = -1.0
        total += profile.false * cost
    return total


def score(all_series: Iterable[Series], profile: Profile) -> float:
    """The score of a detector over several series: 0 for silence, 100 for perfection.

    Raises:
        ValueError: if no series has a window.
    """
    given = list(all_series)
    windows = sum(len(series.windows) for series in given)
    if not windows:
        raise ValueError("no series has a labelled window: there is nothing to score")
    silence = -profile.miss * windows
    found = sum(raw_score(series, profile) for series in given)
    return 100.0 * (found - silence) / (windows - silence)

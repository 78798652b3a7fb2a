"""What a detector earns by NAB's rules, the threshold of each series taken from the other series.

Strictly causal: a score is of a row and of those before it, over what the series' own beginning gave;
how far over that means an anomaly is what does best on the other series. A detection mutes the rows
after it, by `MUTED` of the series' probation: series differ in how many rows a day or a fault has, and the
probation is the one measure of it that is known before the first row is scored.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly import nab

MUTED = 1 / 6
_GRID = np.arange(-2.0, 8.01, 0.15)

Score = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """One series: `score` of each row over its own threshold, and the labelled `windows`.

    Windows are first and last row.
    """

    score: Score
    windows: tuple[tuple[int, int], ...]


class Table:
    """What each series earns at each threshold."""

    def __init__(self, series: Mapping[str, Scored]) -> None:
        """Looks at every series once."""
        self._series = series
        self._earned: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        for name, scored in series.items():
            found = [
                nab.Series(
                    rows=len(scored.score),
                    windows=scored.windows,
                    detections=detect(scored.score, level),
                )
                for level in _GRID
            ]
            for label, profile in nab.PROFILES.items():
                earned = [nab.raw_score(series, profile) for series in found]
                self._earned[name, label] = np.array(earned)
        self.given = functools.cache(self._given)
        self.own = functools.cache(self._own)

    def _own(self, names: tuple[str, ...], profile: str) -> float:
        """The score of `names`, the threshold of each from the others of them."""
        places = {n: self._best([m for m in names if m != n], profile) for n in names}
        return self._score(places, profile)

    def _given(self, names: tuple[str, ...], others: tuple[str, ...], profile: str) -> float:
        """The score of `names` with the one threshold that is best for `others`."""
        return self._score(dict.fromkeys(names, self._best(others, profile)), profile)

    def _best(self, names: Sequence[str], profile: str) -> int:
        return int(np.sum([self._earned[name, profile] for name in names], axis=0).argmax())

    def _score(self, places: Mapping[str, int], profile: str) -> float:
        windows = sum(len(self._series[name].windows) for name in places)
        silence = -nab.PROFILES[profile].miss * windows
        earned = sum(float(self._earned[name, profile][place]) for name, place in places.items())
        return 100.0 * (earned - silence) / (windows - silence)


def detect(scores: Score, level: float) -> npt.NDArray[np.int64]:
    """Rows after the probation at or above `level`, each muting those soon after it."""
    begin = nab.probation(len(scores))
    muted = math.floor(MUTED * begin)
    found: list[int] = []
    for row in (np.flatnonzero(scores[begin:] >= level) + begin).tolist():
        if not found or row - found[-1] > muted:
            found.append(row)
    return np.array(found, np.int64)


def profile_scores(series: Mapping[str, Scored]) -> dict[str, float] | None:
    """NAB's scores by profile, the threshold of each series from the others; None if nothing is labelled.

    A single series has no others.
    """
    if len(series) < 2 or not any(scored.windows for scored in series.values()):
        return None
    table = Table(series)
    return {profile: table.own(tuple(series), profile) for profile in nab.PROFILES}

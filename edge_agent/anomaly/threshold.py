"""From the scores of normal rows to the score that means an anomaly, for a stated rate of errors."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly import pareto
from edge_agent.decoding import ADDED

_LEAST_EXCESSES = 10
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdRule:
    """How a threshold follows from the scores of normal rows.

    A few hundred normal rows do not show how a machine drifts later: without a margin, a threshold
    from them alarms far more often than its rate says.

    Attributes:
        kind: ``quantile`` takes the scores as they are; ``peaks`` (over a threshold) fits a
            generalised Pareto tail to the highest of them and reads the threshold off it.
        rate: share of normal rows that may lie above the threshold, before stretch and margin.
        tail: share of the rows that the tail is fitted to.
        margin: added to what the rate gives, in units of the score.
        stretch: how many times as far above the middle of the scores as the rate gives it; scores of
            different detectors spread differently, which a margin does not know.
    """

    kind: Literal["quantile", "peaks"] = "peaks"
    rate: float = 0.001
    tail: float = 0.1
    margin: float = 0.0
    stretch: float | None = dataclasses.field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if not 0.0 < self.rate <= 0.5 or not 0.0 < self.tail <= 0.5:
            raise ValueError("threshold.rate and threshold.tail must lie above 0 and at most 0.5")
        if not 0.0 <= self.margin <= 1e6:
            raise ValueError("threshold.margin must be 0 to 1000000")
        if self.stretch is not None and not 0.0 < self.stretch <= 1e6:
            raise ValueError("threshold.stretch must lie above 0 and at most 1000000")


def threshold(scores: npt.NDArray[np.float64], rule: ThresholdRule) -> float:
    """The threshold that `rule` gives for `scores` of normal rows; above 0, for a score of 0 is no anomaly.

    Raises:
        ValueError: if there are no scores, or one is not finite.
    """
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError("a threshold needs finite scores of normal rows")
    level, stretch = _level(scores, rule), 1.0 if rule.stretch is None else rule.stretch
    typical = float(np.median(scores))
    return max(typical + stretch * (level - typical) + rule.margin, _LEAST)


def _level(scores: npt.NDArray[np.float64], rule: ThresholdRule) -> float:
    """The score that a share of `rule.rate` of normal rows lies above."""
    if rule.kind == "quantile" or rule.rate >= rule.tail:
        return float(np.quantile(scores, 1.0 - rule.rate))
    start = float(np.quantile(scores, 1.0 - rule.tail))
    excesses = scores[scores > start] - start
    if len(excesses) < _LEAST_EXCESSES:
        # So many equal scores, or so few: there is no tail to fit.
        return float(scores.max())
    share = rule.rate * len(scores) / len(excesses)
    return start + pareto.fit(excesses).quantile_above(min(share, 1.0))

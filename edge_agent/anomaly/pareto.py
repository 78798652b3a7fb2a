"""The generalised Pareto distribution of excesses over a high threshold.

Survival is ``(1 + shape * x / scale) ** (-1 / shape)``, and ``exp(-x / scale)`` for shape 0. It is
fitted by maximum likelihood after Grimshaw ("Computing maximum likelihood estimates for the
generalized Pareto distribution", Technometrics 1993): the likelihood's two equations leave one
unknown, ``theta = shape / scale``, which is searched for on a grid and refined.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

_GRID = 80
_ROUNDS = 30
# Below this the tail is as good as exponential, and the formulas with 1 / shape lose their digits.
_FLAT = 1e-6
_LEAST_SHAPE = -0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pareto:
    """A generalised Pareto distribution: `shape` (any), `scale` (above 0)."""

    shape: float
    scale: float

    def quantile_above(self, share: float) -> float:
        """The excess that a share of `share` (above 0, at most 1) of all excesses lies above."""
        if abs(self.shape) < _FLAT:
            return -self.scale * math.log(share)
        return self.scale / self.shape * math.expm1(-self.shape * math.log(share))

    def log_likelihood(self, excesses: npt.NDArray[np.float64]) -> float:
        """Of `excesses`; minus infinity where one of them cannot be."""
        if abs(self.shape) < _FLAT:
            return -len(excesses) * math.log(self.scale) - float(excesses.sum()) / self.scale
        inner = 1.0 + self.shape / self.scale * excesses
        if (inner <= 0).any():
            return -math.inf
        spread = float(np.log(inner).sum())
        return -len(excesses) * math.log(self.scale) - (1.0 + 1.0 / self.shape) * spread


def fit(excesses: npt.NDArray[np.float64]) -> Pareto:
    """The most likely distribution of `excesses`, with a shape of -0.5 or more.

    Below -0.5 the likelihood has no proper maximum: the data then suggest a hard end just behind
    the largest of them, which is not to be believed of a threshold.

    Raises:
        ValueError: if there are fewer than two excesses, or one is not above 0.
    """
    if len(excesses) < 2 or not (np.isfinite(excesses) & (excesses > 0)).all():
        raise ValueError("a tail needs two or more excesses above 0")
    mean, largest = float(excesses.mean()), float(excesses.max())
    candidates = [Pareto(shape=0.0, scale=mean)]
    edge = -1.0 / largest
    for low, high in ((edge * (1 - 1e-9), edge * 1e-6), (1e-6 / mean, 50.0 / mean)):
        candidates.append(_best(excesses, low, high))
    return max(candidates, key=lambda c: c.log_likelihood(excesses))


def _best(excesses: npt.NDArray[np.float64], low: float, high: float) -> Pareto:
    """The most likely one with ``theta`` between `low` and `high`, both of one sign."""
    grid = np.sign(low) * np.geomspace(abs(low), abs(high), _GRID)
    profile = [_at(excesses, float(t)).log_likelihood(excesses) for t in grid]
    place = int(np.argmax(profile))
    a, b = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, _GRID - 1)])
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(_ROUNDS):
        c, d = b - ratio * (b - a), a + ratio * (b - a)
        first, second = (_at(excesses, t).log_likelihood(excesses) for t in (c, d))
        a, b = (a, d) if first >= second else (c, b)
    return _at(excesses, (a + b) / 2)


def _at(excesses: npt.NDArray[np.float64], theta: float) -> Pareto:
    """The likeliest distribution with ``shape / scale`` equal to `theta`."""
    # At a given theta the likelihood is highest at this shape, if it is allowed at all.
    shape = max(float(np.log1p(theta * excesses).mean()), _LEAST_SHAPE)
    return Pareto(shape=shape, scale=shape / theta)

"""A normal distribution for each feature of each channel that follows the stream slowly.

Features are the level, the change since the last row, and a short exponential mean. Each has a
running mean and variance with a time constant of ``1 / alpha`` rows, so that a machine's slow
changes become normal; the score of a row is taken before the row counts. What it follows it also
learns: a fault that lasts many time constants becomes normal too.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import ExponentialMean, Lags, Parameters, Rows, as_parameters

Feature = Literal["level", "change", "mean"]
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianSettings:
    """Settings of `SlowGaussian`.

    Attributes:
        alpha: weight of the newest row in the running mean and variance, above 0 and at most 1.
        short: weight of the newest row in the short mean.
        features: which features a channel has.
    """

    alpha: float = 0.001
    short: float = 0.1
    features: tuple[Feature, ...] = ("level", "change", "mean")

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0 or not 0.0 < self.short <= 1.0:
            raise ValueError("gaussian.alpha and gaussian.short must lie above 0 and at most 1")
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("gaussian.features must name one or more different features")


class SlowGaussian(Detector):
    """The mean over features and channels of the squared distance in running deviations."""

    def __init__(self, settings: GaussianSettings) -> None:
        """Knows nothing until it has learned or loaded."""
        self.settings = settings
        self.run_in = max(2, round(1 / settings.short) if "mean" in settings.features else 2)
        self._parameters: Parameters = {}
        self._start: npt.NDArray[np.float64] = np.zeros(0)
        self._spread = self._start
        self.restart()

    def learn(self, rows: Rows) -> None:
        demand_rows(rows, 2 * self.run_in + 2)
        self.restart()
        seen = self._features(rows)[self.run_in :]
        variance = np.maximum(seen.var(axis=0), _LEAST)
        self.load(as_parameters(mean=seen.mean(axis=0), variance=variance))

    def parameters(self) -> Parameters:
        return self._parameters

    def load(self, parameters: Parameters) -> None:
        mean, variance = parameters["mean"], parameters["variance"]
        count = len(self.settings.features)
        if mean.ndim != 1 or not mean.size or mean.size % count:
            raise shape_error("mean", mean.shape, f"{count} figures a channel")
        if variance.shape != mean.shape:
            raise shape_error("variance", variance.shape, str(mean.shape))
        if (variance <= 0).any():
            raise ValueError("gaussian's variance must be above 0")
        self._parameters = dict(parameters)
        self._start, self._spread = mean.astype(np.float64), variance.astype(np.float64)
        self.restart()

    def restart(self) -> None:
        self._last = Lags(2)
        self._short = ExponentialMean(self.settings.short)
        self._mean = ExponentialMean(self.settings.alpha, self._start)
        self._variance = ExponentialMean(self.settings.alpha, self._spread)

    def process(self, rows: Rows) -> Rows:
        seen = self._features(rows)
        if not len(rows):
            return rows
        squared = (seen - _before(self._mean, seen)) ** 2
        variance = np.maximum(_before(self._variance, squared), _LEAST)
        distance = squared / variance / seen.shape[1]
        shares: Rows = distance.reshape(len(rows), len(self.settings.features), -1).sum(axis=1)
        return shares

    def state_bytes(self) -> int:
        channels = self._start.size // len(self.settings.features)
        kept = sum(name in self.settings.features for name in ("change", "mean"))
        return 4 * (2 * self._start.size + kept * channels)

    def macs(self) -> int:
        return 6 * self._start.size

    def _features(self, rows: Rows) -> Rows:
        made = []
        for name in self.settings.features:
            if name == "level":
                made.append(rows)
            elif name == "change":
                made.append(rows - self._last.process(rows)[:, rows.shape[1] :])
            else:
                made.append(self._short.process(rows))
        return np.concatenate(made, axis=1)


def _before(mean: ExponentialMean, rows: Rows) -> Rows:
    """The mean as it was before each of `rows` counted; there must have been a start."""
    start = rows[:1] if mean.mean is None else mean.mean[None, :]
    return np.concatenate([start, mean.process(rows)])[:-1]

"""A normal distribution for each feature of each channel that follows the stream slowly.

Features are the level, the change since the last row, and a short exponential mean. Each has a
running mean and variance with a time constant of ``1 / alpha`` rows, so that a machine's slow
changes become normal; the score of a row is taken before the row counts. What it follows it also
learns: a fault that lasts many time constants becomes normal too.

Which speed is right is not known beforehand: with several, each is a member, and the score is their mean.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import ExponentialMean, Lags, Parameters, Rows, as_parameters
from edge_agent.decoding import ADDED

Feature = Literal["level", "change", "mean"]
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianSettings:
    """Settings of `SlowGaussian`.

    Attributes:
        alpha: weight of the newest row in the running mean and variance, above 0 and at most 1.
        short: weight of the newest row in the short mean.
        features: which features a channel has.
        alphas: several weights in place of `alpha`, each with each of the short ones.
        shorts: several weights in place of `short`.
    """

    alpha: float = 0.001
    short: float = 0.1
    features: tuple[Feature, ...] = ("level", "change", "mean")
    alphas: tuple[float, ...] | None = dataclasses.field(default=None, metadata=ADDED)
    shorts: tuple[float, ...] | None = dataclasses.field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        speeds = self.speeds()
        if not 1 <= len(speeds) <= 64 or not all(0.0 < w <= 1.0 for pair in speeds for w in pair):
            raise ValueError("gaussian's alphas and shorts must lie above 0 and at most 1")
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("gaussian.features must name one or more different features")

    def speeds(self) -> tuple[tuple[float, float], ...]:
        """The slow and the short weight of each member."""
        alphas = (self.alpha,) if self.alphas is None else self.alphas
        shorts = (self.short,) if self.shorts is None else self.shorts
        return tuple(itertools.product(alphas, shorts))


class SlowGaussian(Detector):
    """The mean over members, features and channels of the squared distance in running deviations."""

    def __init__(self, settings: GaussianSettings) -> None:
        """Knows nothing until it has learned or loaded."""
        self.settings = settings
        slowest = min(short for _, short in settings.speeds())
        self.run_in = max(2, round(1 / slowest) if "mean" in settings.features else 2)
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
        count = len(self.settings.features) * len(self.settings.speeds())
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
        alphas = [alpha for alpha, _ in self.settings.speeds()]
        starts, spreads = (
            np.split(array, len(alphas)) if array.size else [array] * len(alphas)
            for array in (self._start, self._spread)
        )
        self._short = [ExponentialMean(short) for _, short in self.settings.speeds()]
        self._mean = list(map(ExponentialMean, alphas, starts))
        self._variance = list(map(ExponentialMean, alphas, spreads))

    def process(self, rows: Rows) -> Rows:
        members = np.split(self._features(rows), len(self._mean), axis=1)
        if not len(rows):
            return rows
        shares = np.zeros_like(rows)
        for seen, mean, variance in zip(members, self._mean, self._variance, strict=True):
            squared = (seen - _before(mean, seen)) ** 2
            spread = np.maximum(_before(variance, squared), _LEAST)
            distance = squared / spread / (seen.shape[1] * len(members))
            shares += distance.reshape(len(rows), len(self.settings.features), -1).sum(axis=1)
        return shares

    def state_bytes(self) -> int:
        members = len(self.settings.speeds())
        channels = self._start.size // (len(self.settings.features) * members)
        kept = ("change" in self.settings.features) + members * ("mean" in self.settings.features)
        return 4 * (2 * self._start.size + kept * channels)

    def macs(self) -> int:
        return 6 * self._start.size

    def _features(self, rows: Rows) -> Rows:
        """Those of each member after the other's."""
        change = rows - self._last.process(rows)[:, rows.shape[1] :]
        made = []
        for short in self._short:
            known = {"level": rows, "change": change}
            for name in self.settings.features:
                made.append(short.process(rows) if name == "mean" else known[name])
        return np.concatenate(made, axis=1)


def _before(mean: ExponentialMean, rows: Rows) -> Rows:
    """The mean as it was before each of `rows` counted; there must have been a start."""
    start = rows[:1] if mean.mean is None else mean.mean[None, :]
    return np.concatenate([start, mean.process(rows)])[:-1]

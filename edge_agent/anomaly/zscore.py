"""Squared distance of each channel's exponential mean from normal: the classic EWMA chart.

With ``alpha`` 1 there is no averaging, and it is the plain z-score; with a robust normaliser, the
robust one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import ExponentialMean, Parameters, Rows, as_parameters

_LEAST = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZScoreSettings:
    """Settings of `ZScore`: `alpha` is the weight of the newest row, above 0 and at most 1."""

    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError("z_score.alpha must lie above 0 and at most 1")


class ZScore(Detector):
    """The mean over the channels of ``(exponential mean / its normal deviation)²``."""

    def __init__(self, settings: ZScoreSettings) -> None:
        """Knows nothing until it has learned or loaded."""
        self.settings = settings
        self.run_in = max(1, round(1 / settings.alpha))
        self._parameters: Parameters = {}
        self.restart()

    def learn(self, rows: Rows) -> None:
        demand_rows(rows, 2 * self.run_in + 2)
        self.restart()
        means = self._mean.process(rows)[self.run_in :]
        self.load(as_parameters(power=np.maximum((means**2).mean(axis=0), _LEAST)))

    def parameters(self) -> Parameters:
        return self._parameters

    def load(self, parameters: Parameters) -> None:
        power = parameters["power"]
        if power.ndim != 1 or not power.size:
            raise shape_error("power", power.shape, "one figure a channel")
        if (power <= 0).any():
            raise ValueError("z_score's power must be above 0")
        self._parameters = dict(parameters)
        self._weights = 1.0 / (power.astype(np.float64) * power.size)
        self.restart()

    def restart(self) -> None:
        self._mean = ExponentialMean(self.settings.alpha)

    def process(self, rows: Rows) -> Rows:
        shares: Rows = self._mean.process(rows) ** 2 * self._weights
        return shares

    def state_bytes(self) -> int:
        return 4 * self._weights.size

    def macs(self) -> int:
        return 3 * self._weights.size

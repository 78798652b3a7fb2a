"""Channels that wander on their own, as temperatures do, seen against their own slow mean.

A channel wanders if the means of eighths of the normal rows differ much more than the rows within
an eighth would let them: `limit` times as much as in independent rows. Its exponential mean is taken
from it; the others stay as they are, so that a lasting shift of theirs stays one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edge_agent.anomaly.detector import shape_error
from edge_agent.anomaly.rows import ExponentialMean, Parameters, Rows, as_parameters

_PARTS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class WanderingSettings:
    """Settings of `Wandering`.

    Attributes:
        limit: how many times as much as independent rows the means of eighths must differ.
        alpha: weight of the newest row in the slow mean, above 0 and at most 1.
    """

    limit: float = 100.0
    alpha: float = 0.005

    def __post_init__(self) -> None:
        if not 0.0 <= self.limit <= 1e9 or not 0.0 < self.alpha <= 1.0:
            raise ValueError("wandering needs a limit of 0 to 1e9 and an alpha in (0, 1]")


class Wandering:
    """Takes the slow mean from the channels that wander."""

    def __init__(self, settings: WanderingSettings | None) -> None:
        """Leaves every channel as it is if there are no settings."""
        self.settings = settings
        self._follows = np.zeros(0)
        self.restart()

    def learn(self, rows: Rows) -> None:
        """Finds the wandering channels in normalised normal rows."""
        follows = np.zeros(rows.shape[1])
        if self.settings is not None and len(rows) >= 2 * _PARTS:
            parts = np.array_split(rows, _PARTS)
            between = np.var([part.mean(axis=0) for part in parts], axis=0)
            within = np.mean([part.var(axis=0) for part in parts], axis=0)
            follows[between * len(rows) / _PARTS > self.settings.limit * within] = 1.0
        self.load(as_parameters(follows=follows))

    def parameters(self) -> Parameters:
        """1 for each channel that wanders, and 0 for the others."""
        return as_parameters(follows=self._follows)

    def load(self, parameters: Parameters) -> None:
        """Takes what another instance learned.

        Raises:
            ValueError: if it does not fit.
        """
        follows = parameters["follows"]
        if follows.ndim != 1:
            raise shape_error("follows", follows.shape, "one figure a channel")
        self._follows = follows.astype(np.float64)
        self.restart()

    def restart(self) -> None:
        """Forgets the stream."""
        self._mean = None if self.settings is None else ExponentialMean(self.settings.alpha)

    def process(self, rows: Rows) -> Rows:
        """The next rows of the stream, normalised."""
        if self._mean is None:
            return rows
        return rows - self._mean.process(rows) * self._follows

    def state_bytes(self) -> int:
        """Bytes of the slow means, as float32."""
        return 4 * int(self._follows.sum())

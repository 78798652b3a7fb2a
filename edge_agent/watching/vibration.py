"""A signal of vibration or sound as rows of features, while it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.features.series import VibrationFeatures
from edge_agent.sources.table import RowBlock


class VibrationRows:
    """Makes the rows that a bundle was taught with; keeps no more than a window of samples."""

    def __init__(self, features: VibrationFeatures, speed: float | None = None) -> None:
        """Begins a stream.

        Args:
            features: as the bundle states them.
            speed: the shaft's revolutions a second, where they have orders.
        """
        self._features = features
        self._speed = speed
        self._left: npt.NDArray[np.float64] | None = None
        self._rows = 0

    def take(self, samples: npt.NDArray[np.floating[Any]]) -> RowBlock:
        """The rows that are whole with the next samples; a row's time is where its window begins, in seconds.

        Args:
            samples: shape (n, channels).

        Raises:
            ValueError: if a sample is not finite.
        """
        features = self._features
        new = np.asarray(samples, np.float64)
        joined = new if self._left is None else np.concatenate([self._left, new])
        count = features.count(len(joined))
        self._left = joined[count * features.step :]
        used = joined[: (count - 1) * features.step + features.window if count else 0]
        rows = np.concatenate([features.of(channel, self._speed) for channel in used.T], axis=1)
        begins = (self._rows + np.arange(count)) * features.step / features.sample_rate
        self._rows += count
        return RowBlock(times=[f"{s:.3f}" for s in begins], seconds=begins, rows=rows)

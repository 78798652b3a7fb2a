"""What a device may learn on its own, and how far: normaliser and threshold, near what was shipped.

The detector never changes. Every `period` rows, the rows below the threshold move the centre and
the scale of each channel a little towards themselves, and the threshold with the middle of their
scores. A period in which the alarm was on, or in which most rows were not below the threshold or
had no value, teaches nothing. Nothing moves further from the shipped state than its bound: a fault
that grows too slowly to be noticed is learned up to the bound, and alarms beyond it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.normaliser import Normaliser
from edge_agent.anomaly.rows import Mask, Rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptationSettings:
    """Speed and bounds.

    Attributes:
        period: rows from one step to the next.
        rate: share of the way to the period's rows that one step goes.
        centre_drift: furthest that a centre moves from the shipped one, in shipped scales.
        scale_drift: largest ratio of a scale to the shipped one, either way.
        threshold_drift: furthest that the threshold moves, in units of the score.
    """

    period: int = 500
    rate: float = 0.05
    centre_drift: float = 1.0
    scale_drift: float = 1.5
    threshold_drift: float = 0.2

    def __post_init__(self) -> None:
        if not 10 <= self.period <= 1_000_000 or not 0.0 < self.rate <= 1.0:
            raise ValueError("adaptation.period must be 10 to 1000000 rows, rate in (0, 1]")
        if not 0.0 <= self.centre_drift <= 100.0 or not 1.0 <= self.scale_drift <= 100.0:
            raise ValueError("adaptation.centre_drift must be 0 to 100, scale_drift 1 to 100")
        if not 0.0 <= self.threshold_drift <= 100.0:
            raise ValueError("adaptation.threshold_drift must be 0 to 100")


class Adaptation:
    """The adaptation of one stream."""

    def __init__(
        self, settings: AdaptationSettings, shipped: Normaliser, threshold: float, typical: float
    ) -> None:
        """Starts at the shipped state.

        Args:
            settings: speed and bounds.
            shipped: the normaliser to stay near.
            threshold: the threshold to stay near.
            typical: middle of the scores that it was made from.
        """
        self.settings = settings
        self._shipped, self._threshold, self._typical = shipped, threshold, typical
        self.revert()

    def due(self) -> int:
        """Rows until the next step."""
        return self.settings.period - self._rows

    def revert(self) -> tuple[Normaliser, float]:
        """Forgets all that was learned; gives the shipped state."""
        self._normaliser, self._shift = self._shipped, 0.0
        self._clear()
        return self._normaliser, self._threshold

    @property
    def base(self) -> tuple[Normaliser, float]:
        """The state that it stays near: normaliser and threshold."""
        return self._shipped, self._threshold

    @property
    def shift(self) -> float:
        """How far the threshold has moved."""
        return self._shift

    def restore(self, normaliser: Normaliser, shift: float) -> tuple[Normaliser, float]:
        """Goes on where another one near the same state was, within the bounds whatever is given.

        Args:
            normaliser: what it had learned.
            shift: how far its threshold had moved.
        """
        self._normaliser, self._shift = self._bounded(normaliser), self._bounded_shift(shift)
        self._clear()
        return self._normaliser, self._threshold + self._shift

    def distance(self) -> float:
        """How far the centres have moved from the shipped ones: the furthest, in shipped scales."""
        moved = np.abs(self._normaliser.centre - self._shipped.centre) / self._shipped.scale
        return float(moved.max())

    def step(
        self,
        rows: Rows,
        gone: Mask,
        scores: npt.NDArray[np.float64],
        alarms: npt.NDArray[np.bool_],
    ) -> tuple[Normaliser, float]:
        """Takes rows, at most `due` of them; gives normaliser and threshold for those after.

        Args:
            rows: normalised by the normaliser that the last call gave.
            gone: which of their values teach nothing.
            scores: their scores.
            alarms: whether the alarm was on.
        """
        # Where everything is missing, a score of 0 tells nothing of normal ones.
        below = (scores < self._threshold + self._shift) & ~alarms & ~gone.all(axis=1)
        self._rows += len(rows)
        self._alarmed |= bool(alarms.any())
        self._count += int(below.sum())
        known = np.where(gone, 0.0, rows)[below]
        self._known += len(known) - gone[below].sum(axis=0)
        self._sum += known.sum(axis=0)
        self._squares += (known**2).sum(axis=0)
        self._scores += float(scores[below].sum())
        if not self.due():
            if not self._alarmed and 2 * self._count > self._rows:
                self._learn()
            self._clear()
        return self._normaliser, self._threshold + self._shift

    def state_bytes(self) -> int:
        """Bytes of what it keeps, as float32."""
        return 4 * (5 * self._shipped.centre.size + 5)

    def _learn(self) -> None:
        rate, now = self.settings.rate, self._normaliser
        count = np.maximum(self._known, 1)
        mean = self._sum / count
        # About the centre, not about the period's own mean: a period sees only a part of a slow cycle.
        power = np.where(self._known, self._squares / count, 1.0)
        centre = now.centre + rate * mean * now.scale
        scale = now.scale * np.sqrt(1.0 + rate * (power - 1.0))
        self._normaliser = self._bounded(Normaliser(centre=centre, scale=scale))
        towards = self._scores / self._count - self._typical
        self._shift = self._bounded_shift(self._shift + rate * (towards - self._shift))

    def _bounded(self, normaliser: Normaliser) -> Normaliser:
        s, shipped = self.settings, self._shipped
        reach = s.centre_drift * shipped.scale
        least, most = shipped.scale / s.scale_drift, shipped.scale * s.scale_drift
        return Normaliser(
            centre=np.clip(normaliser.centre, shipped.centre - reach, shipped.centre + reach),
            scale=np.clip(normaliser.scale, least, most),
        )

    def _bounded_shift(self, shift: float) -> float:
        drift = self.settings.threshold_drift
        return float(np.clip(shift, -drift, drift))

    def _clear(self) -> None:
        self._rows, self._count, self._scores, self._alarmed = 0, 0, 0.0, False
        self._known = np.zeros(self._shipped.centre.size, int)
        self._sum: npt.NDArray[np.float64] = np.zeros_like(self._shipped.centre)
        self._squares: npt.NDArray[np.float64] = np.zeros_like(self._shipped.centre)

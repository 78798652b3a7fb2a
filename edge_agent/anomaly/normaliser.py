"""Each channel in units of its own normal spread.

`moments` is the mean and the standard deviation; `robust` the median and the median deviation, which
a few wild rows among the normal ones do not move. A channel that was constant in the normal rows has
no spread: a thousandth of its level (at least 1e-6) stands for it, so that any real change is large.
Of one that had no value in them nothing is known: whatever comes of it later counts as normal.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.rows import LARGEST, Parameters, Rows, as_parameters, present

_MAD_TO_DEVIATION = 1.4826
_LIMIT = 1e6
# A quantised channel may have a median deviation of 0 and still move: not below this of the other.
_LEAST_ROBUST = 0.25
# Adaptation may divide a scale by 100.
_UNKNOWN = 1e-3 * LARGEST


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normaliser:
    """``(row - centre) / scale``.

    Attributes:
        centre: shape (channels,).
        scale: shape (channels,), above 0.
    """

    centre: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def apply(self, rows: Rows) -> Rows:
        """Normalised rows; a missing value (see `rows.present`) counts as normal, 0."""
        there = present(rows)
        normalised = (np.where(there, rows, 0.0) - self.centre) / self.scale
        return np.minimum(np.maximum(np.where(there, normalised, 0.0), -_LIMIT), _LIMIT)

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Which channels the normal rows had no value of, shape (channels,)."""
        return np.asarray(self.scale >= _UNKNOWN)

    def parameters(self) -> Parameters:
        """What a bundle carries of it."""
        return as_parameters(centre=self.centre, scale=self.scale)


def fit(rows: Rows, kind: Literal["moments", "robust"]) -> Normaliser:
    """Learns centre and scale from normal rows; missing values are left out."""
    finite = np.where(present(rows), rows, np.nan)
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        centre, scale = np.nanmean(finite, axis=0), np.nanstd(finite, axis=0)
        if kind == "robust":
            centre = np.nanmedian(finite, axis=0)
            spread = np.nanmedian(np.abs(finite - centre), axis=0)
            scale = np.maximum(_MAD_TO_DEVIATION * spread, _LEAST_ROBUST * scale)
    centre = np.where(np.isfinite(centre), centre, 0.0)
    known = np.isfinite(finite).any(axis=0)
    least = np.where(known, np.maximum(1e-3 * np.abs(centre), 1e-6), LARGEST)
    # Rounding noise of a constant channel is no spread either.
    moves = np.isfinite(scale) & (scale > 1e-9 * np.abs(centre)) & (scale > 0)
    return of_parameters(as_parameters(centre=centre, scale=np.where(moves, scale, least)))


def of_parameters(parameters: Parameters) -> Normaliser:
    """The normaliser that `Normaliser.parameters` gave."""
    centre, scale = (parameters[name].astype(np.float64) for name in ("centre", "scale"))
    return Normaliser(centre=centre, scale=scale)

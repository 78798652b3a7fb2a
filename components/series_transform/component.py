"""The SeriesTransform component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import FEATURES, SERIES
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesTransformParameters:
    """Parameters of SeriesTransform.

    Attributes:
        normaliser: ``moments`` or ``robust`` (edge_agent.anomaly.normaliser).
        wandering_limit: see edge_agent.anomaly.wandering; 0 for a detector that follows nothing.
        wandering_alpha: weight of the newest row in the slow mean.
        window: rows that a network sees beside each other.
        spectrum: samples of a signal that become one row of features.
        segment: samples of the short spectra within them.
        bands: bands of equal width that spectral kurtosis is given for.
        overlap: share of a window of the spectrum that the next one begins before its end.
        mix_db: levels at which each faulty signal is also mixed into the healthy one of its speed (names that
            end alike), decibels; empty for none.
        val_share: share of the rows that teach, at each log's end of them, that validate training.
        seed: of the widened windows.
        senses: channels that belong together and may go missing together: of each sense the names of its
            channels, or their beginnings with a star behind; a star alone is all others. Networks learn
            to do without one of them (AnomalyNetworkTrainer.modality_dropout), and a device goes on with
            the others (AnomalyTrainer.hold_rows). With none, all channels are one.
    """

    normaliser: Literal["moments", "robust"] = "moments"
    wandering_limit: float = 100.0
    wandering_alpha: float = 0.003
    window: int = 8
    spectrum: int = 8192
    segment: int = 128
    bands: int = 8
    overlap: float = 0.5
    mix_db: tuple[float, ...] = (-12.0, -18.0)
    val_share: float = 0.1
    seed: int = 0
    senses: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 64:
            raise ValueError("window must be 1 to 64 rows")
        if not 0.0 <= self.overlap < 1.0:
            raise ValueError("overlap must be 0 to less than 1")
        if not 0.0 < self.val_share < 0.5:
            raise ValueError("val_share must lie above 0 and below 0.5")
        if not all(self.senses):
            raise ValueError("senses must each name a channel")


class SeriesTransform(Component):
    """Computes features of signals, and the int8 windows that networks learn and are calibrated on."""

    INPUTS = {"series": SERIES}
    OUTPUTS = {"series": SERIES, "features": FEATURES}
    PARAMETERS = SeriesTransformParameters
    EXECUTOR = "components.series_transform.executor:execute"

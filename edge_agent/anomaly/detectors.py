"""The detectors that a bundle can name, and the one detector that its settings make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.anomaly.autoencoder import Autoencoder, AutoencoderSettings
from edge_agent.anomaly.combination import Combination
from edge_agent.anomaly.detector import Detector
from edge_agent.anomaly.gaussian import GaussianSettings, SlowGaussian
from edge_agent.anomaly.half_space import HalfSpaceSettings, HalfSpaceTrees
from edge_agent.anomaly.pca import Pca, PcaSettings
from edge_agent.anomaly.zscore import ZScore, ZScoreSettings
from edge_agent.decoding import ADDED

_MAKERS: Mapping[str, Callable[[Any], Detector]] = {
    "pca": Pca,
    "z_score": ZScore,
    "gaussian": SlowGaussian,
    "half_space": HalfSpaceTrees,
    "autoencoder": Autoencoder,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """Which detectors a stream is held against: one, or several that are combined.

    Attributes:
        pca: settings of principal components, or None for none of them; so with the others.
        z_score: of exponential means.
        gaussian: of slow normal distributions.
        half_space: of half-space trees.
        autoencoder: of a small network.
    """

    pca: PcaSettings | None = None
    z_score: ZScoreSettings | None = None
    gaussian: GaussianSettings | None = None
    half_space: HalfSpaceSettings | None = None
    autoencoder: AutoencoderSettings | None = dataclasses.field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if not self.chosen():
            raise ValueError(f"names no detector: choose from {', '.join(_MAKERS)}")

    def chosen(self) -> dict[str, Any]:
        """The settings that are given, by the detector's name."""
        given = {name: getattr(self, name) for name in _MAKERS}
        return {name: settings for name, settings in given.items() if settings is not None}


def make_detector(settings: DetectorSettings) -> Detector:
    """The detector of `settings`, without parameters."""
    return Combination([(name, _MAKERS[name](s)) for name, s in settings.chosen().items()])

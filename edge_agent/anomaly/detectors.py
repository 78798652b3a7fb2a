"""The detectors that a bundle can name, and the one detector that its settings make."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.anomaly.autoencoder import Autoencoder, AutoencoderSettings
from edge_agent.anomaly.combination import Combination
from edge_agent.anomaly.detector import Detector
from edge_agent.anomaly.gaussian import GaussianSettings, SlowGaussian
from edge_agent.anomaly.half_space import HalfSpaceSettings, HalfSpaceTrees
from edge_agent.anomaly.network import Network, NetworkSettings, Predict
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
        autoencoder: of a small network that each stream teaches.
        network: of one in a .tflite file, which the bundle brings.
    """

    pca: PcaSettings | None = None
    z_score: ZScoreSettings | None = None
    gaussian: GaussianSettings | None = None
    half_space: HalfSpaceSettings | None = None
    autoencoder: AutoencoderSettings | None = dataclasses.field(default=None, metadata=ADDED)
    network: NetworkSettings | None = dataclasses.field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if not self.chosen():
            names = [field.name for field in dataclasses.fields(self)]
            raise ValueError(f"names no detector: choose from {', '.join(names)}")

    def chosen(self) -> dict[str, Any]:
        """The settings that are given, by the detector's name."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: settings for name, settings in given.items() if settings is not None}


def make_detector(settings: DetectorSettings, predict: Predict | None = None) -> Detector:
    """The detector of `settings`, without parameters.

    Args:
        settings: which ones.
        predict: the network, if one is among them; without it, it cannot learn or score.
    """
    of_network = functools.partial(Network, predict=predict)
    makers: dict[str, Callable[[Any], Detector]] = {**_MAKERS, "network": of_network}
    return Combination([(name, makers[name](s)) for name, s in settings.chosen().items()])

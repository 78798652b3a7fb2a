"""The AnomalyNetworkTrainer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import FEATURES, MODEL
from components.base import TENSORFLOW, Component
from components.models.catalogue import AUTOENCODERS, FORECASTERS


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyNetworkTrainerParameters:
    """Parameters of AnomalyNetworkTrainer.

    Attributes:
        architecture: an autoencoder or a forecaster of `components.models.catalogue`.
        widths: of its layers.
        epochs: most passes over the normal windows; the weights of the best one are kept.
        batch: windows a step.
        learning_rate: of Adam, falling to a hundredth by a cosine.
        noise: deviation of the noise that is added to the windows, compressed units.
        modality_dropout: share of the windows that one sense is taken from, in what the network sees and
            in what it is to give; where the features name senses (Transform.senses).
        seed: of initial weights, order, noise and what is taken.
        threads: threads of TensorFlow.
    """

    architecture: str = "dense_autoencoder"
    widths: tuple[int, ...] = (24, 6)
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 3e-3
    noise: float = 0.05
    modality_dropout: float = 0.3
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        known = sorted({**AUTOENCODERS, **FORECASTERS})
        if self.architecture not in known:
            raise ValueError(f"architecture must be one of {', '.join(known)}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError("widths must be one or more positive numbers")
        if not 1 <= self.epochs <= 10_000 or not 1 <= self.batch <= 10_000 or self.threads < 1:
            raise ValueError("epochs and batch must be 1 to 10000, threads 1 or more")
        if not 0.0 < self.learning_rate <= 1.0 or not 0.0 <= self.noise <= 1.0:
            raise ValueError("learning_rate must lie in (0, 1], noise in [0, 1]")
        if not 0.0 <= self.modality_dropout <= 1.0:
            raise ValueError("modality_dropout must be 0 to 1")


class AnomalyNetworkTrainer(Component):
    """Trains one network on normal windows alone."""

    INPUTS = {"features": FEATURES}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = AnomalyNetworkTrainerParameters
    ALONE = False
    EXECUTOR = "components.anomaly_network.executor:execute"
    PRELOADS = TENSORFLOW

"""The Pruner component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import FEATURES, MODEL
from components.base import Component
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunerParameters(TrainingParameters):
    """Parameters of the Pruner, beside those of every training step.

    Zeros make the compressed download smaller; a dense .tflite keeps its size and speed.

    Attributes:
        initial_sparsity: share of zeros at the first step.
        final_sparsity: share of zeros in the end; 0 prunes nothing.
        ramp: share of the steps over which sparsity rises (polynomially, power 3).
        frequency: steps between two updates of the masks.
        least_weights: kernels with fewer weights are left whole.
    """

    initial_sparsity: float = 0.05
    final_sparsity: float = 0.3
    ramp: float = 0.6
    frequency: int = 20
    least_weights: int = 500
    epochs: int = 2
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.initial_sparsity <= self.final_sparsity < 1.0:
            raise ValueError("it must hold that 0 <= initial_sparsity <= final_sparsity < 1")
        if not 0.0 < self.ramp <= 1.0 or self.frequency < 1:
            raise ValueError("ramp must be above 0 to 1, and frequency 1 or more")


class Pruner(Component):
    """Magnitude pruning on a polynomial schedule (Zhu and Gupta, 2017), with retraining."""

    INPUTS = {"features": FEATURES, "model": MODEL}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = PrunerParameters
    EXECUTOR = "components.pruner.executor:execute"

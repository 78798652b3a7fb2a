"""The Distiller component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import FEATURES, MODEL
from components.base import Component
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillerParameters(TrainingParameters):
    """Parameters of the Distiller, beside those of every training step.

    Attributes:
        temperature: softens both outputs (Hinton, Vinyals and Dean, 2015); 1 leaves them.
        hard_weight: weight of the labels; the teacher has the rest, 0 to 1.
    """

    temperature: float = 2.0
    hard_weight: float = 0.5
    epochs: int = 12
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0.0 or not 0.0 <= self.hard_weight <= 1.0:
            raise ValueError("temperature must be above 0, and hard_weight 0 to 1")


class Distiller(Component):
    """Distils a teacher into a student, whose zeros stay zero."""

    INPUTS = {"features": FEATURES, "model": MODEL, "teacher": MODEL}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = DistillerParameters
    EXECUTOR = "components.distiller.executor:execute"

"""The Quantizer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import FEATURES, MODEL
from components.base import Component
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizerParameters(TrainingParameters):
    """Parameters of the Quantizer, beside those of every training step.

    Attributes:
        method: ``aware`` trains with rounding; ``post_training`` hands the float model on, for the
            Converter to calibrate; ``auto`` trains if every layer has a form with rounding.
        temperature: softens the outputs of the float model that is the teacher here.
        hard_weight: weight of the labels; the float model has the rest, 0 to 1.
    """

    method: Literal["auto", "aware", "post_training"] = "auto"
    temperature: float = 1.0
    hard_weight: float = 0.1
    epochs: int = 2
    learning_rate: float = 2e-4
    ema: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0.0 or not 0.0 <= self.hard_weight <= 1.0:
            raise ValueError("temperature must be above 0, and hard_weight 0 to 1")


class Quantizer(Component):
    """Trains with int8 rounding in the graph, taught by the float model it must not differ from."""

    INPUTS = {"features": FEATURES, "model": MODEL, "teacher": MODEL}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = QuantizerParameters
    EXECUTOR = "components.quantizer.executor:execute"

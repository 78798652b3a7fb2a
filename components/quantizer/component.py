"""The Quantizer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Literal

from components.artifacts import FEATURES, MODEL
from components.base import TENSORFLOW, Component, UserError
from components.models.catalogue import ARCHITECTURES
from components.trainer.component import Trainer
from components.trainer.origin import trainer_of
from components.training.parameters import TrainingParameters

Coding = Literal["clustered", "ternary", "binary", "int4"]
CODINGS: tuple[Coding, ...] = typing.get_args(Coding)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizerParameters(TrainingParameters):
    """Parameters of the Quantizer, beside those of every training step.

    docs/techniques.md says what each method saves; none of the few-valued ones but ``int4`` saves a byte
    on the device.

    Attributes:
        method: ``aware`` trains with rounding; ``post_training`` hands the float model on, for the
            Converter to calibrate; ``auto`` trains if every layer has a form with rounding;
            ``clustered``, ``ternary``, ``binary`` and ``int4`` train with rounding, and the larger
            kernels take few values.
        clusters: values that a kernel may take with ``clustered``, 4 to 255.
        least_weights: kernels with fewer weights are rounded to int8 and no further.
        whole: layers that are rounded to int8 and no further, by name; `pipeline sensitivity` says
            which cost the accuracy.
        temperature: softens the outputs of the float model that is the teacher here.
        hard_weight: weight of the labels; the float model has the rest, 0 to 1.
    """

    method: Literal["auto", "aware", "post_training", "clustered", "ternary", "binary", "int4"] = (
        "auto"
    )
    clusters: int = 16
    least_weights: int = 500
    whole: tuple[str, ...] = ()
    temperature: float = 1.0
    hard_weight: float = 0.1
    epochs: int = 2
    learning_rate: float = 2e-4
    ema: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0.0 or not 0.0 <= self.hard_weight <= 1.0:
            raise ValueError("temperature must be above 0, and hard_weight 0 to 1")
        if not 4 <= self.clusters <= 255:
            raise ValueError("clusters must be 4 to 255")


class Quantizer(Component):
    """Trains with int8 rounding in the graph, taught by the float model it must not differ from."""

    INPUTS = {"features": FEATURES, "model": MODEL, "teacher": MODEL}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = QuantizerParameters
    EXECUTOR = "components.quantizer.executor:execute"
    PRELOADS = TENSORFLOW

    def check(self, makers: Mapping[str, Component]) -> None:
        """Training with rounding needs a form with rounding of every layer, and gives int8 activations."""
        method, trainer = self.parameters.method, trainer_of(self, "model", makers)
        for taker in makers.values():
            # By its name: no code of the Converter decides what is made here.
            activations = getattr(taker.parameters, "activations", "int8")
            if activations != "int8" and taker.inputs["model"].producer == self.id:
                self._check_float(f"{taker.id}.activations={activations}", trainer)
        if method in ("auto", "post_training") or trainer is None:
            return
        architecture = trainer.parameters.architecture
        if not ARCHITECTURES[architecture].rounding:
            raise UserError(
                f"{self.id}.method={method}: some layers of {architecture} have no form with rounding: "
                "set it to auto or post_training"
            )

    def _check_float(self, where: str, trainer: Trainer | None) -> None:
        """Whether what is made here is a float network that ends in a softmax, for `where` to hold."""
        method = self.parameters.method
        rounds = trainer is None or ARCHITECTURES[trainer.parameters.architecture].rounding
        if method != "post_training" and (method != "auto" or rounds):
            raise UserError(
                f"{where} takes a float model, and {self.id}.method={method} trains it with int8 rounding: "
                f"set {self.id}.method=post_training"
            )
        if trainer is not None and trainer.parameters.members > 1:
            raise UserError(
                f"{where} takes a network that ends in a softmax, and {trainer.id} trains "
                f"{trainer.parameters.members}, whose mean ends in none: set {trainer.id}.members=1"
            )

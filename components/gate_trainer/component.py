"""The GateTrainer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import FEATURES, GATE
from components.base import TENSORFLOW, Component
from components.models.catalogue import ARCHITECTURES
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateTrainerParameters(TrainingParameters):
    """Parameters of the GateTrainer, beside those of every training step.

    Attributes:
        widths: channels of the gate's stages; without any there is no gate, and the classifier runs
            at every hop. ``8,8`` is a good first choice.
        architecture: name in `components.models.catalogue`.
        kept: share of the keywords' windows of validation that must open it, 0 to 1: what is closed
            to them is lost, and what is open to the others costs.
        calibration_rows: training windows that set the ranges of its int8 form.
    """

    widths: tuple[int, ...] = ()
    architecture: str = "tc_resnet"
    kept: float = 0.99
    calibration_rows: int = 400
    epochs: int = 8
    label_smoothing: float = 0.02
    unknown_share: float = 0.35
    threads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"there is no architecture {self.architecture!r}: "
                f"take one of {', '.join(sorted(ARCHITECTURES))}"
            )
        if self.widths and (objection := ARCHITECTURES[self.architecture].objection(self.widths)):
            raise ValueError(f"{objection} ({self.architecture}), or none for no gate")
        if not 0.0 < self.kept <= 1.0:
            raise ValueError("kept must be above 0, to 1")
        if not 1 <= self.calibration_rows <= 100_000:
            raise ValueError("calibration_rows must be 1 to 100000")


class GateTrainer(Component):
    """Trains and converts a gate, and chooses the probability at which it opens."""

    INPUTS = {"features": FEATURES}
    OUTPUTS = {"gate": GATE}
    PARAMETERS = GateTrainerParameters
    ALONE = False
    EXECUTOR = "components.gate_trainer.executor:execute"
    PRELOADS = TENSORFLOW

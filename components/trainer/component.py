"""The Trainer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import FEATURES, MODEL
from components.base import Component
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerParameters(TrainingParameters):
    """Parameters of the Trainer, beside those of every training step.

    Attributes:
        architecture: name in `components.models.registry`.
        widths: channels of the architecture's stages.
        targets: profiles that the untrained graph must fit; the model that ships is checked again.
    """

    architecture: str = "streaming_resnet"
    widths: tuple[int, ...] = (16, 32)
    threads: int = 1
    targets: tuple[str, ...] = ()


class Trainer(Component):
    """Trains a float model with hard labels."""

    INPUTS = {"features": FEATURES}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = TrainerParameters
    ALONE = False
    EXECUTOR = "components.trainer.executor:execute"

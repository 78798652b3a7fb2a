"""The WordTransfer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import EVALUATION, FEATURES, MODEL
from components.base import TENSORFLOW, Component
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordTransferParameters(TrainingParameters):
    """Parameters of WordTransfer, beside those of every training step.

    Attributes:
        trains: ``head``: the classifier alone, behind a frozen backbone; ``all``: every layer.
        replay: share of the keyword examples that are old words (rehearsal: Robins, 1995); 0 for none.
        old_model_weight: weight of what the old model gives on every example (learning without
            forgetting: Li and Hoiem, 2016); 0 leaves it out.
        temperature: softens both for that.
        elasticity: weight of the pull of each weight to its old value, by its importance (EWC:
            Kirkpatrick et al., 2017); 0 leaves it out.
        fisher_rows: examples of old words that importance is measured on.
        drop_limit: gate: most accuracy that old words may lose, upper 95% bound, 0 to 1.
        new_word_floor: gate: least recall of the new words, mean, on the test list as recorded.
    """

    trains: Literal["head", "all"] = "all"
    replay: float = 0.8
    old_model_weight: float = 1.0
    temperature: float = 2.0
    elasticity: float = 0.0
    fisher_rows: int = 256
    drop_limit: float = 0.01
    new_word_floor: float = 0.85
    epochs: int = 8
    examples_per_epoch: int = 16_384
    learning_rate: float = 5e-4
    ema: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.replay < 1.0:
            raise ValueError("replay must be 0 to below 1")
        if self.old_model_weight < 0.0 or self.elasticity < 0.0 or self.temperature <= 0.0:
            raise ValueError(
                "old_model_weight and elasticity must be 0 or more, and temperature above 0"
            )
        if self.fisher_rows < 1:
            raise ValueError("fisher_rows must be 1 or more")


class WordTransfer(Component):
    """Gives a trained model outputs for the labels that it lacks, and trains them in."""

    INPUTS = {"features": FEATURES, "base": MODEL}
    OUTPUTS = {"model": MODEL, "retention": EVALUATION}
    PARAMETERS = WordTransferParameters
    EXECUTOR = "components.word_transfer.executor:execute"
    PRELOADS = TENSORFLOW

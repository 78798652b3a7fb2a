"""The Candidate component: one trial of a search, in a process of its own."""

from __future__ import annotations

import dataclasses

from components.artifacts import FEATURES, TRIAL
from components.base import TENSORFLOW, Component
from components.trainer.component import TrainerParameters
from components.tuner.outcome import Rival


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateParameters(TrainerParameters):
    """Parameters of a Candidate, beside those of the Trainer.

    Attributes:
        most_bytes: largest .tflite file that is trained; 0 for any.
        most_macs: most multiply-accumulates; 0 for any.
        most_arena_bytes: largest arena; 0 for any.
        rivals: candidates that were trained to their end, for as many epochs.
        lag: how far behind a rival that takes no more it may be before it is stopped, accuracy.
        grace: epochs after which it is not yet stopped.
    """

    most_bytes: int = 0
    most_macs: int = 0
    most_arena_bytes: int = 0
    rivals: tuple[Rival, ...] = ()
    lag: float = 0.05
    grace: int = 0


class Candidate(Component):
    """Measures what a network takes, untrained; trains it unless that is too much; measures int8."""

    INPUTS = {"features": FEATURES}
    OUTPUTS = {"trial": TRIAL}
    PARAMETERS = CandidateParameters
    EXECUTOR = "components.tuner.executor:execute"
    PRELOADS = TENSORFLOW

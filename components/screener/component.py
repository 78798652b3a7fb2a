"""The Screener component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import EVALUATION, FEATURES, INT8_MODEL, MODEL
from components.base import TENSORFLOW, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScreenerParameters:
    """Parameters of the Screener.

    Attributes:
        hop_frames: frames from one inference to the next, as the Evaluator's; a Streamer's step.
        smoothing: inferences around the middle whose mean decides a test clip, as the Evaluator's.
    """

    hop_frames: int = 4
    smoothing: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.hop_frames <= 100 or not 1 <= self.smoothing <= 25:
            raise ValueError("hop_frames must be 1 to 100 and smoothing 1 to 25")


class Screener(Component):
    """Scores an int8 model on validation and test clips, and decides no gate.

    Given its float version too, it says how often the two decide alike.
    """

    INPUTS = {"features": FEATURES, "model": INT8_MODEL}
    OPTIONAL_INPUTS = {"float_model": MODEL}
    OUTPUTS = {"screening": EVALUATION}
    PARAMETERS = ScreenerParameters
    EXECUTOR = "components.screener.executor:execute"
    PRELOADS = TENSORFLOW

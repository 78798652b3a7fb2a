"""The Evaluator component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import (
    BUNDLE,
    EARLY_EXIT,
    EVALUATION,
    EXAMPLES,
    FEATURES,
    GATE,
    INT8_MODEL,
    MODEL,
)
from components.base import TENSORFLOW, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatorParameters:
    """Parameters of the Evaluator: what the policy is chosen from and for, and the gates' limits.

    Attributes:
        hop_frames: frames from one inference to the next on the device.
        smoothing: consecutive inferences around the middle of an isolated clip whose mean decides it.
        smoothings: how many consecutive inferences of a stream may be averaged; one is chosen.
        refractories_ms: least times between two detections of one label, milliseconds; one is chosen.
        false_accepts_per_hour: what the policy is chosen for, on validation streams that hold
            no keyword, only other words and noise without a pause.
        room_accepts: least and most that thresholds may accept falsely where they follow a device's room,
            as multiples of what they are chosen for; none where they are to stay.
        room_memory_hours: hours of sound after which what was heard of a room counts a third.
        drop_limit: most accuracy that int8 may lose from float: upper 95% bound, 0 to 1.
        agreement_limit: least share of equal decisions of int8 and float.
        release_drop_limit: most accuracy lost from the last release on the same clips, mean.
        label_floor: least recall of any label on the test list.
        speaker_floor: least accuracy of any test speaker with at least 8 clips.
        accuracy_floor: least int8 accuracy on the test list; 0 leaves it out.
        worst: how many of the most confident mistakes are listed.
    """

    hop_frames: int = 4
    smoothing: int = 5
    smoothings: tuple[int, ...] = (2, 3, 5)
    refractories_ms: tuple[int, ...] = (500, 800, 1200)
    false_accepts_per_hour: float = 200.0
    room_accepts: tuple[float, ...] = (0.25, 2.0)
    room_memory_hours: float = 24.0
    drop_limit: float = 0.01
    agreement_limit: float = 0.97
    release_drop_limit: float = 0.02
    label_floor: float = 0.2
    speaker_floor: float = 0.2
    accuracy_floor: float = 0.0
    worst: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.hop_frames <= 100 or not 1 <= self.smoothing <= 25:
            raise ValueError("hop_frames must be 1 to 100 and smoothing 1 to 25")
        if not self.smoothings or not all(1 <= s <= 25 for s in self.smoothings):
            raise ValueError("smoothings must be one or more numbers from 1 to 25")
        if not self.refractories_ms or not all(0 <= r <= 60_000 for r in self.refractories_ms):
            raise ValueError("refractories_ms must be one or more numbers from 0 to 60000")
        if self.false_accepts_per_hour < 0:
            raise ValueError("false_accepts_per_hour must not be negative")
        if self.room_accepts and not (
            len(self.room_accepts) == 2
            and 1e-3 <= self.room_accepts[0] < 1.0 < self.room_accepts[1] <= 1e3
        ):
            raise ValueError(
                "room_accepts must be none, or one from 0.001 to below 1 and one above 1"
            )
        if not 0.01 <= self.room_memory_hours <= 10_000:
            raise ValueError("room_memory_hours must be 0.01 to 10000")

    @property
    def clip_hops(self) -> tuple[int, ...]:
        """Positions at which an isolated clip is scored: `smoothing` of them around its middle."""
        half = (self.smoothing - 1) // 2
        return tuple(range(-half, self.smoothing - half))


class Evaluator(Component):
    """Measures the int8 model as the device will run it, and decides the gates on its quality."""

    INPUTS = {
        "examples": EXAMPLES,
        "features": FEATURES,
        "int8_model": INT8_MODEL,
        "float_model": MODEL,
        "teacher": MODEL,
    }
    OPTIONAL_INPUTS = {"last_release": BUNDLE, "gate": GATE, "early_exit": EARLY_EXIT}
    OUTPUTS = {"evaluation": EVALUATION}
    PARAMETERS = EvaluatorParameters
    EXECUTOR = "components.evaluator.executor:execute"
    PRELOADS = TENSORFLOW

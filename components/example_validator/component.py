"""The ExampleValidator component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import SCHEMA, STATISTICS, VALIDATION
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleValidatorParameters:
    """Thresholds of ExampleValidator. What is beyond one is a warning, unless said otherwise.

    Attributes:
        schema: ``hold`` checks against the schema given, and infers one only if there is none;
            ``renew`` infers it anew from these statistics.
        few_clips: clips below which a label in the train split is small.
        few_speakers: speakers below which a val or test split says little.
        label_share: largest difference of a label's share of the clips between two splits or runs
            (the L-infinity distance of TensorFlow Data Validation), 0 to 1.
        level_divergence: largest Jensen-Shannon divergence (base 2, 0 to 1) between the histograms
            of RMS levels of two splits or runs.
        compared_clips: clips that each side needs before levels and shares are compared.
        clipped_share: share of a clip's samples at full scale at which the clip is clipped.
        clipped_clips: share of the clips of a split that may have samples at full scale.
        dc_offset: largest offset of a clip, of full scale.
        quiet_clips: share of the clips of a word that may be quiet throughout.
        long_clips: longest recording, in clip lengths; of a longer one much is not used.
    """

    schema: Literal["hold", "renew"] = "hold"
    few_clips: int = 30
    few_speakers: int = 5
    label_share: float = 0.1
    level_divergence: float = 0.15
    compared_clips: int = 100
    clipped_share: float = 0.05
    clipped_clips: float = 0.25
    dc_offset: float = 0.05
    quiet_clips: float = 0.05
    long_clips: float = 2.0

    def __post_init__(self) -> None:
        for name in ("few_clips", "few_speakers", "compared_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in (
            "label_share",
            "level_divergence",
            "clipped_share",
            "clipped_clips",
            "dc_offset",
            "quiet_clips",
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 to 1")
        if self.long_clips < 1:
            raise ValueError(f"long_clips is {self.long_clips}: it must be at least 1")


class ExampleValidator(Component):
    """Finds what is wrong with the examples; errors stop the run, warnings do not."""

    INPUTS = {"statistics": STATISTICS}
    OPTIONAL_INPUTS = {"previous_statistics": STATISTICS, "schema": SCHEMA}
    OUTPUTS = {"validation": VALIDATION, "schema": SCHEMA}
    PARAMETERS = ExampleValidatorParameters
    EXECUTOR = "components.example_validator.executor:execute"

"""The ImageExampleValidator component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import SCHEMA, STATISTICS, VALIDATION
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageExampleValidatorParameters:
    """Thresholds of ImageExampleValidator. What is beyond one is a warning, unless said otherwise.

    Attributes:
        schema: ``hold`` checks the labels against the schema given, and infers one only if there is
            none; ``renew`` infers it anew.
        few_pictures: pictures below which a label in the train split is small.
        label_share: largest difference of a label's share of the pictures between two splits or runs, 0
            to 1.
        brightness_divergence: largest Jensen-Shannon divergence (base 2, 0 to 1) between the
            histograms of brightness of two splits or runs.
        compared: pictures that each side needs before it is compared.
        even: share of the pictures of a label that may be even.
        copies: ``error`` stops the run where a picture is in two splits; ``warning`` goes on.
    """

    schema: Literal["hold", "renew"] = "hold"
    few_pictures: int = 30
    label_share: float = 0.1
    brightness_divergence: float = 0.15
    compared: int = 100
    even: float = 0.05
    copies: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        if self.few_pictures < 1 or self.compared < 1:
            raise ValueError("few_pictures and compared must be 1 or more")
        for name in ("label_share", "brightness_divergence", "even"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 to 1")


class ImageExampleValidator(Component):
    """Finds what is wrong with the pictures; errors stop the run, warnings do not."""

    INPUTS = {"statistics": STATISTICS}
    OPTIONAL_INPUTS = {"previous_statistics": STATISTICS, "schema": SCHEMA}
    OUTPUTS = {"validation": VALIDATION, "schema": SCHEMA}
    PARAMETERS = ImageExampleValidatorParameters
    EXECUTOR = "components.image_example_validator.executor:execute"

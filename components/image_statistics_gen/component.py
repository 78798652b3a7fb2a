"""The ImageStatisticsGen component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import EXAMPLES, STATISTICS
from components.base import EXECUTION_ONLY, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageStatisticsGenParameters:
    """Parameters of ImageStatisticsGen.

    Attributes:
        even_contrast: contrast below which a picture counts as even, 0 to 0.5.
        beam_options: options of the Beam runner, each as ``--name=value``.
    """

    even_contrast: float = 0.01
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        if not 0.0 <= self.even_contrast <= 0.5:
            raise ValueError(f"even_contrast is {self.even_contrast}: it must be 0 to 0.5")


class ImageStatisticsGen(Component):
    """Counts, sizes, brightness, duplicates and groups of the pictures (Beam)."""

    INPUTS = {"examples": EXAMPLES}
    OUTPUTS = {"statistics": STATISTICS}
    PARAMETERS = ImageStatisticsGenParameters
    EXECUTOR = "components.image_statistics_gen.executor:execute"

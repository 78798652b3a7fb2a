"""The declaration of Converter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

from components.artifacts import FEATURES, INT8_MODEL, MODEL, ArtifactType
from components.base import TENSORFLOW, Component

Activations = Literal["int8", "int16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConverterParameters:
    """Parameters of Converter.

    Attributes:
        calibration_rows: training windows that set the ranges of what was not trained to be
            quantised; all of them matter for a plain float model, only a few for a quantised one.
        activations: ``int8``, or ``int16`` (16x8): finer ones, of a model that was not trained with
            int8 rounding.
        seed: picks those windows.
    """

    calibration_rows: int = 400
    activations: Activations = "int8"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.calibration_rows <= 100_000:
            raise ValueError("calibration_rows must be 1 to 100000")


class Converter(Component):
    """Makes ``model.tflite``: int8 in and out, no float tensor, batch 1, few bytes."""

    INPUTS: ClassVar[Mapping[str, ArtifactType]] = {"model": MODEL, "features": FEATURES}
    OUTPUTS: ClassVar[Mapping[str, ArtifactType]] = {"model": INT8_MODEL}
    PARAMETERS = ConverterParameters
    EXECUTOR = "components.converter.executor:execute"
    PRELOADS = TENSORFLOW

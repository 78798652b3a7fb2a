"""The ImagePackager component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import (
    BUNDLE,
    EVALUATION,
    EXAMPLES,
    FEATURES,
    INFRA_VALIDATION,
    INT8_MODEL,
    MODEL,
)
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImagePackagerParameters:
    """Parameters of the ImagePackager.

    Attributes:
        name: the model family; releases of one name follow each other.
        licence: licence of the model: an SPDX expression or a sentence.
        latency_ms: what one inference may cost on the device, milliseconds.
        memory_bytes: what a process with the bundle may hold resident, bytes.
        golden_vectors: how many pictures the self-test runs.
        golden_tolerance: least tolerance of the self-test, LSB; runtimes' kernels differ.
        check_clips: pictures of each label in the check set.
    """

    name: str = "image_classification"
    licence: str = "not stated: set it with --set Packager.licence=..."
    latency_ms: float = 50.0
    memory_bytes: int = 64 * 1024 * 1024
    golden_vectors: int = 8
    golden_tolerance: int = 16
    check_clips: int = 4

    def __post_init__(self) -> None:
        if self.golden_vectors < 1 or self.check_clips < 1:
            raise ValueError("golden_vectors and check_clips must be 1 or more")


class ImagePackager(Component):
    """Makes the bundle; it is a candidate until every gate holds."""

    INPUTS = {
        "examples": EXAMPLES,
        "features": FEATURES,
        "trained": MODEL,
        "model": INT8_MODEL,
        "evaluation": EVALUATION,
        "infra_validation": INFRA_VALIDATION,
    }
    OUTPUTS = {"bundle": BUNDLE}
    PARAMETERS = ImagePackagerParameters
    EXECUTOR = "components.image_packager.executor:execute"

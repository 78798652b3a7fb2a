"""The Packager component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import (
    BUNDLE,
    EARLY_EXIT,
    EVALUATION,
    EXAMPLES,
    FEATURES,
    GATE,
    INFRA_VALIDATION,
    INT8_MODEL,
    MODEL,
)
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackagerParameters:
    """Parameters of the Packager.

    Attributes:
        name: the model family; releases of one name follow each other.
        licence: licence of the model: an SPDX expression or a sentence.
        latency_ms: what one inference may cost on the device, milliseconds.
        memory_bytes: what the workload's process may hold resident, bytes.
        golden_vectors: how many inputs the self-test runs.
        golden_tolerance: least tolerance of the self-test, LSB; runtimes' kernels differ.
        check_clips: clips of each label in the check set.
        replay_clips: training clips of each label of which an embedding guards it while a device learns
            (a few bytes each); 0 leaves out what learning on the device needs.
        envelope_factor: a trial may trigger this many times as often as evaluation allowed for.
    """

    name: str = "keyword_spotting"
    licence: str = "not stated: set it with --set Packager.licence=..."
    latency_ms: float = 20.0
    memory_bytes: int = 64 * 1024 * 1024
    golden_vectors: int = 8
    golden_tolerance: int = 16
    check_clips: int = 4
    replay_clips: int = 24
    envelope_factor: float = 3.0

    def __post_init__(self) -> None:
        if self.golden_vectors < 1 or self.check_clips < 1:
            raise ValueError("golden_vectors and check_clips must be 1 or more")
        if not 0 <= self.replay_clips <= 1000:
            raise ValueError("replay_clips must be 0 to 1000")


class Packager(Component):
    """Makes the bundle; it is a candidate until every gate holds.

    ``device_model`` is the model as the device runs it, ``model`` the same for whole windows.
    """

    INPUTS = {
        "examples": EXAMPLES,
        "features": FEATURES,
        "trained": MODEL,
        "model": INT8_MODEL,
        "device_model": INT8_MODEL,
        "evaluation": EVALUATION,
        "infra_validation": INFRA_VALIDATION,
    }
    OPTIONAL_INPUTS = {"gate": GATE, "early_exit": EARLY_EXIT}
    OUTPUTS = {"bundle": BUNDLE}
    PARAMETERS = PackagerParameters
    EXECUTOR = "components.packager.executor:execute"

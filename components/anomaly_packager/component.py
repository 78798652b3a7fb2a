"""The AnomalyPackager component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import ANOMALY_MODEL, BUNDLE, EVALUATION, INFRA_VALIDATION
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyPackagerParameters:
    """Parameters of AnomalyPackager.

    Attributes:
        name: the model family; releases of one name follow each other.
        licence: licence of the model: an SPDX expression or a sentence.
        max_parameter_bytes: gate: most bytes of parameters and network.
        max_state_bytes: gate: most bytes that a stream keeps.
        max_arena_bytes: gate of a network: most bytes of its TFLM arena.
        row_ms: what a row may cost on the device, milliseconds.
        memory_bytes: what the workload's process may hold resident, bytes.
        alarms_per_hour: most alarms an hour that a trial may show.
    """

    name: str = "anomaly_detection"
    licence: str = "not stated: set it with --set Packager.licence=..."
    max_parameter_bytes: int = 20 * 1024
    max_state_bytes: int = 16 * 1024
    max_arena_bytes: int = 8 * 1024
    row_ms: float = 1.0
    memory_bytes: int = 64 * 1024 * 1024
    alarms_per_hour: float = 10.0


class AnomalyPackager(Component):
    """Makes the bundle, runs it as a device would, and holds its size against limits."""

    INPUTS = {"model": ANOMALY_MODEL, "evaluation": EVALUATION}
    OUTPUTS = {"bundle": BUNDLE, "infra_validation": INFRA_VALIDATION}
    PARAMETERS = AnomalyPackagerParameters
    EXECUTOR = "components.anomaly_packager.executor:execute"

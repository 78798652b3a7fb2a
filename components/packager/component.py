"""The Packager component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from components.artifacts import (
    BUNDLE,
    EVALUATION,
    EXAMPLES,
    FEATURES,
    GATE,
    INFRA_VALIDATION,
    INT8_MODEL,
    MODEL,
)
from components.base import Component, UserError
from components.gate_trainer.component import GateTrainer
from components.models.catalogue import ARCHITECTURES
from components.trainer.origin import trainer_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackagerParameters:
    """Parameters of the Packager.

    Attributes:
        name: the model family; releases of one name follow each other.
        licence: licence of the model: an SPDX expression or a sentence.
        form: how the device runs the model: ``sliding_window`` computes each window anew,
            ``streaming`` what is new in it alone; then Evaluator.hop_frames is the length of a step.
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
    form: Literal["sliding_window", "streaming"] = "sliding_window"
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
    """Makes the bundle; it is a candidate until every gate holds."""

    INPUTS = {
        "examples": EXAMPLES,
        "features": FEATURES,
        "trained": MODEL,
        "model": INT8_MODEL,
        "evaluation": EVALUATION,
        "infra_validation": INFRA_VALIDATION,
    }
    OPTIONAL_INPUTS = {"gate": GATE}
    OUTPUTS = {"bundle": BUNDLE}
    PARAMETERS = PackagerParameters
    EXECUTOR = "components.packager.executor:execute"

    def check(self, makers: Mapping[str, Component]) -> None:
        """What is to stream must be able to, in steps that all its strides fit into, and see each frame."""
        trainer = trainer_of(self, "trained", makers)
        if self.parameters.form != "streaming" or trainer is None:
            return
        where = f"{self.id}.form=streaming"
        architecture = trainer.parameters.architecture
        by = ARCHITECTURES[architecture].streams_by
        if by is None:
            able = ", ".join(name for name, a in ARCHITECTURES.items() if a.streams_by is not None)
            raise UserError(
                f"{where}: {architecture} ({trainer.id}) has no streaming form: take one that has "
                f"({able}), or {self.id}.form=sliding_window"
            )
        evaluator = makers[self.inputs["evaluation"].producer]
        hop = evaluator.parameters.hop_frames
        if hop % by:
            raise UserError(
                f"{where}: a step is {evaluator.id}.hop_frames={hop} frames, and {architecture} takes "
                f"multiples of {by}: --set {evaluator.id}.hop_frames={hop + by - hop % by}"
            )
        gate = makers.get(self.inputs["gate"].producer) if "gate" in self.inputs else None
        if isinstance(gate, GateTrainer) and gate.parameters.widths:
            raise UserError(
                f"{where}: a gate leaves windows out, and a streaming network must see each: set "
                f"{gate.id}.widths=[], or {self.id}.form=sliding_window"
            )

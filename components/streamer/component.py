"""The Streamer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from components.artifacts import EARLY_EXIT, EVALUATION, GATE, INT8_MODEL
from components.base import Component, UserError
from components.early_exit.component import EarlyExit
from components.gate_trainer.component import GateTrainer
from components.models.catalogue import ARCHITECTURES
from components.trainer.origin import trainer_of

Form = Literal["streaming_where_possible", "streaming", "sliding_window"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamerParameters:
    """Parameters of the Streamer.

    Attributes:
        form: how the device runs the model: ``streaming`` computes what is new in a window alone, in steps
            of Evaluator.hop_frames frames; ``sliding_window`` computes each window anew;
            ``streaming_where_possible`` streams what can, and says why the rest does not.
    """

    form: Form = "streaming_where_possible"


class Streamer(Component):
    """Makes the model that the device runs of the one that takes whole windows."""

    INPUTS = {"model": INT8_MODEL, "evaluation": EVALUATION}
    OPTIONAL_INPUTS = {"gate": GATE, "early_exit": EARLY_EXIT}
    OUTPUTS = {"model": INT8_MODEL}
    PARAMETERS = StreamerParameters
    EXECUTOR = "components.streamer.executor:execute"

    def check(self, makers: Mapping[str, Component]) -> None:
        """What must stream must be able to, in steps that all its strides fit into, and see each frame."""
        trainer = trainer_of(self, "model", makers)
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
        gate, early_exit = (
            makers.get(self.inputs[name].producer) if name in self.inputs else None
            for name in ("gate", "early_exit")
        )
        if isinstance(gate, GateTrainer) and gate.parameters.widths:
            raise UserError(
                f"{where}: a gate leaves windows out, and a streaming network must see each: set "
                f"{gate.id}.widths=[], or {self.id}.form=sliding_window"
            )
        if isinstance(early_exit, EarlyExit) and early_exit.parameters.spend:
            raise UserError(
                f"{where}: an early exit leaves the rest of the network without frames that a streaming one "
                f"must see: set {early_exit.id}.spend=0, or {self.id}.form=sliding_window"
            )

"""The EarlyExit component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from components.artifacts import EARLY_EXIT, FEATURES, GATE, INT8_MODEL
from components.base import Component, UserError
from components.converter.component import Converter
from components.gate_trainer.component import GateTrainer
from components.models.catalogue import ARCHITECTURES
from components.trainer.origin import trainer_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExitParameters:
    """Parameters of EarlyExit.

    Attributes:
        spend: share of the network's multiply-accumulates that may be spent before its exit, above 0 and
            below 1; 0, the default, for no exit. 0.6 is a first choice.
        agreement: least share of validation windows that are decided as without the exit, 0 to 1.
        rows: most training windows that the exit learns from.
        seed: which of them.
    """

    spend: float = 0.0
    agreement: float = 0.99
    rows: int = 9_000
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.0 <= self.spend < 1.0:
            raise ValueError("spend must be above 0 and below 1, or 0 for no exit")
        if not 0.0 < self.agreement <= 1.0:
            raise ValueError("agreement must be above 0, to 1")
        if not 100 <= self.rows <= 1_000_000:
            raise ValueError("rows must be 100 to 1000000")


class EarlyExit(Component):
    """Cuts a trained int8 network in two, and trains an exit on what passes there."""

    INPUTS = {"features": FEATURES, "model": INT8_MODEL}
    OPTIONAL_INPUTS = {"gate": GATE}
    OUTPUTS = {"early_exit": EARLY_EXIT}
    PARAMETERS = EarlyExitParameters
    ALONE = False
    EXECUTOR = "components.early_exit.executor:execute"

    def check(self, makers: Mapping[str, Component]) -> None:
        """A bundle has a gate or an early exit, and an exit needs a place where one int8 tensor passes."""
        if not self.parameters.spend:
            return
        gate = makers.get(self.inputs["gate"].producer) if "gate" in self.inputs else None
        if isinstance(gate, GateTrainer) and gate.parameters.widths:
            raise UserError(
                f"{self.id}.spend and {gate.id}.widths: a bundle has an early exit or a gate, not both: "
                f"set {self.id}.spend=0 or {gate.id}.widths=[]"
            )
        converter = makers.get(self.inputs["model"].producer)
        if isinstance(converter, Converter) and converter.parameters.activations != "int8":
            raise UserError(
                f"{self.id}.spend: an exit reads int8, and {converter.id}.activations="
                f"{converter.parameters.activations}: set that to int8, or {self.id}.spend=0"
            )
        trainer = trainer_of(self, "model", makers)
        if trainer is None:
            return
        architecture, members = trainer.parameters.architecture, trainer.parameters.members
        if members > 1:
            raise UserError(
                f"{self.id}.spend: no single tensor passes in the {members} networks of {trainer.id}: set "
                f"{trainer.id}.members=1, or {self.id}.spend=0"
            )
        if not ARCHITECTURES[architecture].narrows:
            raise UserError(
                f"{self.id}.spend: {architecture} ({trainer.id}) has no place for an exit, for no single "
                f"tensor passes before nearly all is done: set it to 0, or take another architecture"
            )

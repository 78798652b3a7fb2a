"""The Pruner component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from components.artifacts import FEATURES, MODEL
from components.base import TENSORFLOW, Component, UserError
from components.models.catalogue import ARCHITECTURES
from components.trainer.component import Trainer
from components.trainer.origin import trainer_of
from components.training.parameters import TrainingParameters

Method = Literal["magnitude", "iterative", "m_by_n", "block", "filter", "heads"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrunerParameters(TrainingParameters):
    """Parameters of the Pruner, beside those of every training step.

    Zeros make the compressed download smaller; a dense .tflite keeps its size and speed. Only ``filter``
    and ``heads`` remove what they prune, and with it bytes, memory and time. docs/techniques.md tells the
    methods apart.

    Attributes:
        method: ``magnitude`` zeroes the smallest weights while training goes on; ``iterative`` does so at
            once, round by round; ``m_by_n`` and ``block`` zero in patterns; ``filter`` removes channels,
            and ``heads`` attention heads.
        rounds: how often ``iterative``, ``filter`` and ``heads`` prune and retrain, `epochs` each time.
        rewind: what ``iterative`` retrains from: ``none``, the weights as they are; ``early``, those
            that the Trainer had after `Trainer.rewind_epoch` epochs; ``random``, likewise, but new ones
            in the last round (the control of the lottery-ticket experiment).
        initial_sparsity: share of zeros at the first step of ``magnitude``.
        final_sparsity: share of zeros in the end of ``magnitude``, ``iterative`` and ``block``; 0 prunes
            nothing.
        ramp: share of the steps over which sparsity rises (polynomially, power 3).
        frequency: steps between two updates of the masks of ``magnitude``.
        least_weights: kernels with fewer weights are left whole.
        m_by_n: (m, n): at most m of n consecutive weights of one output channel are not zero.
        block: (m, n): blocks of m output channels by n consecutive weights are zeroed as one.
        macs_share: share of the multiply-accumulates that ``filter`` leaves, above 0 to 1.
        least_channels: channels that ``filter`` leaves every layer.
        heads_share: share of its heads that ``heads`` leaves each attention layer, and at least one.
    """

    method: Method = "magnitude"
    rounds: int = 1
    rewind: Literal["none", "early", "random"] = "none"
    initial_sparsity: float = 0.05
    final_sparsity: float = 0.3
    ramp: float = 0.6
    frequency: int = 20
    least_weights: int = 500
    m_by_n: tuple[int, ...] = (2, 4)
    block: tuple[int, ...] = (1, 4)
    macs_share: float = 0.5
    least_channels: int = 4
    heads_share: float = 0.5
    epochs: int = 2
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.initial_sparsity < 1.0 or not 0.0 <= self.final_sparsity < 1.0:
            raise ValueError("initial_sparsity and final_sparsity must be 0 to below 1")
        if self.initial_sparsity > self.final_sparsity > 0.0:
            raise ValueError("initial_sparsity must not be above final_sparsity")
        if not 0.0 < self.ramp <= 1.0 or self.frequency < 1:
            raise ValueError("ramp must be above 0 to 1, and frequency 1 or more")
        if len(self.m_by_n) != 2 or not 0 < self.m_by_n[0] < self.m_by_n[1]:
            raise ValueError("m_by_n must be two numbers, the first above 0 and below the second")
        if len(self.block) != 2 or min(self.block) < 1:
            raise ValueError("block must be two numbers, each 1 or more")
        if not 0.0 < self.macs_share <= 1.0 or not 0.0 < self.heads_share <= 1.0:
            raise ValueError("macs_share and heads_share must be above 0 to 1")
        if self.rounds < 1 or self.least_channels < 1:
            raise ValueError("rounds and least_channels must be 1 or more")


class Pruner(Component):
    """Takes away what matters least, and retrains the rest."""

    INPUTS = {"features": FEATURES, "model": MODEL}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = PrunerParameters
    EXECUTOR = "components.pruner.executor:execute"
    PRELOADS = TENSORFLOW

    def check(self, makers: Mapping[str, Component]) -> None:
        """Channels and heads can be removed from the architectures that have them, and a rule for it."""
        trainer = trainer_of(self, "model", makers)
        if trainer is None:
            return
        architecture, method = trainer.parameters.architecture, self.parameters.method
        known, where = ARCHITECTURES[architecture], f"{self.id}.method={method}"
        if method == "filter" and not known.filters:
            raise UserError(f"{where} has no rule for {architecture}: {_advice('filters')}")
        if method == "heads" and not known.heads:
            raise UserError(f"{where}: {architecture} has no attention heads: {_advice('heads')}")
        if method == "iterative" and self.parameters.rewind != "none":
            self._check_early_weights(trainer)

    def _check_early_weights(self, trainer: Trainer) -> None:
        where, kept = f"{self.id}.rewind={self.parameters.rewind}", trainer.parameters
        if self.inputs["model"].producer != trainer.id:
            raise UserError(
                f"{where}: only a Trainer keeps early weights, and the model does not come straight from "
                f"{trainer.id}: set {self.id}.rewind=none"
            )
        if kept.members > 1:
            raise UserError(
                f"{where}: {trainer.id} keeps no early weights of {kept.members} members: set "
                f"{trainer.id}.members=1, or {self.id}.rewind=none"
            )
        if kept.rewind_epoch >= kept.epochs:
            raise UserError(
                f"{where}: {trainer.id}.rewind_epoch={kept.rewind_epoch} is not before the end of its "
                f"{kept.epochs} epochs: set it lower"
            )


def _advice(needed: str) -> str:
    fitting = sorted(name for name, known in ARCHITECTURES.items() if getattr(known, needed))
    return f"take another method, or one of {', '.join(fitting)}"

"""The Distiller component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from components.artifacts import FEATURES, MODEL
from components.base import TENSORFLOW, Component, UserError
from components.distiller.blocks import evenly
from components.models.catalogue import ARCHITECTURES, heads_of
from components.trainer.component import Trainer
from components.trainer.origin import trainer_of
from components.training.parameters import TrainingParameters

TEACHERS = ("teacher", "second_teacher", "third_teacher")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillerParameters(TrainingParameters):
    """Parameters of the Distiller, beside those of every training step.

    Attributes:
        temperature: softens both outputs (Hinton, Vinyals and Dean, 2015); 1 leaves them.
        hard_weight: weight of the labels; the teacher has the rest, 0 to 1.
        hidden_weight: weight of the distance between blocks of student and teacher (patient
            distillation: Sun et al., 2019); 0 leaves it out.
        attention_weight: weight of the distance between their attention maps (TinyBERT: Jiao et
            al., 2020); 0 leaves it out.
        generations: how often a student is trained; each after the first begins with new weights
            and has the one before for its teacher (born-again networks: Furlanello et al., 2018).
    """

    temperature: float = 2.0
    hard_weight: float = 0.5
    hidden_weight: float = 0.0
    attention_weight: float = 0.0
    generations: int = 1
    epochs: int = 12
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0.0 or not 0.0 <= self.hard_weight <= 1.0:
            raise ValueError("temperature must be above 0, and hard_weight 0 to 1")
        if self.hidden_weight < 0.0 or self.attention_weight < 0.0:
            raise ValueError("hidden_weight and attention_weight must be 0 or more")
        if self.generations < 1:
            raise ValueError("generations must be 1 or more")

    @property
    def looks_inside(self) -> bool:
        """Whether anything but the outputs is compared."""
        return self.hidden_weight > 0.0 or self.attention_weight > 0.0


class Distiller(Component):
    """Distils a teacher, or the mean of several, into a student, whose zeros stay zero."""

    INPUTS = {"features": FEATURES, "model": MODEL, "teacher": MODEL}
    OPTIONAL_INPUTS = dict.fromkeys(TEACHERS[1:], MODEL)
    OUTPUTS = {"model": MODEL}
    PARAMETERS = DistillerParameters
    EXECUTOR = "components.distiller.executor:execute"
    PRELOADS = TENSORFLOW

    def check(self, makers: Mapping[str, Component]) -> None:
        """Refuses to look inside networks that have not what is looked for, or more than one teacher."""
        if not self.parameters.looks_inside:
            return
        student = trainer_of(self, "model", makers)
        teacher = trainer_of(self, "teacher", makers)
        for trainer in (student, teacher):
            if trainer is not None and trainer.parameters.members > 1:
                raise UserError(
                    f"{self.id}.hidden_weight and attention_weight compare the layers of two networks, "
                    f"and {trainer.id} trains {trainer.parameters.members}: set them to 0, or "
                    f"{trainer.id}.members to 1"
                )
        if self.parameters.attention_weight:
            for trainer in (student, teacher):
                if trainer is not None:
                    self._check_attention(trainer)
            if student is not None and teacher is not None:
                self._check_heads(student, teacher)

    def _check_attention(self, trainer: Trainer) -> None:
        architecture = trainer.parameters.architecture
        if not ARCHITECTURES[architecture].heads:
            having = ", ".join(name for name, a in ARCHITECTURES.items() if a.heads)
            raise UserError(
                f"{self.id}.attention_weight: {architecture} ({trainer.id}) has no attention layer: "
                f"set it to 0, or {trainer.id}.architecture to one that has: {having}"
            )

    def _check_heads(self, student: Trainer, teacher: Trainer) -> None:
        own, its = ([heads_of(w) for w in t.parameters.widths] for t in (student, teacher))
        if any(mine != taught for mine, taught in evenly(own, its)):
            raise UserError(
                f"{self.id}.attention_weight: {student.id} has {own} attention heads and {teacher.id} "
                f"{its} (one for every 16 channels of a width): set it to 0, or give both the same"
            )

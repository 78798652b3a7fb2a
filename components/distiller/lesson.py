"""What a student is trained with: itself, opened where it is compared, and the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from components.base import UserError
from components.distiller.blocks import given_by, pair_attention, pair_blocks
from components.distiller.component import DistillerParameters
from components.training.losses import (
    Loss,
    Match,
    attention_distance,
    distillation_loss,
    hidden_distance,
)

Model = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesson:
    """What `loop.fit` trains.

    Attributes:
        model: the student's own layers, giving its probabilities and what is compared beside them.
        loss: for `model`.
        matched: (student's layer, teacher's layer) of each comparison inside the networks.
    """

    model: Model
    loss: Loss
    matched: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, student: Model, teachers: Sequence[Model], p: DistillerParameters) -> Lesson:
        """The lesson that `teachers` give to `student`.

        Raises:
            UserError: if the networks do not fit what is to be compared.
        """
        blocks = attention = []
        if p.looks_inside:
            if len(teachers) > 1:
                raise UserError(
                    "Distiller.hidden_weight and attention_weight compare the layers of one teacher, "
                    f"and there are {len(teachers)}: set them to 0, or give one teacher"
                )
            blocks = pair_blocks(student, teachers[0]) if p.hidden_weight else []
            attention = pair_attention(student, teachers[0]) if p.attention_weight else []
        matches = [
            Match(weight=p.hidden_weight / len(blocks), distance=hidden_distance) for _ in blocks
        ] + [
            Match(weight=p.attention_weight / len(attention), distance=attention_distance)
            for _ in attention
        ]
        taught = average(teachers)
        model = student
        if matches:
            model = _opened(
                student, [_projected(*pair) for pair in blocks], [own for own, _ in attention]
            )
            taught = _opened(
                teachers[0], [given_by(its) for _, its in blocks], [its for _, its in attention]
            )
        return cls(
            model=model,
            loss=distillation_loss(
                taught, p.temperature, p.hard_weight, p.label_smoothing, matches
            ),
            matched=tuple((own.name, its.name) for own, its in [*blocks, *attention]),
        )


def average(teachers: Sequence[Model]) -> Any:
    """The mean of the teachers' probabilities, called as one of them is."""
    if len(teachers) == 1:
        return teachers[0]

    def mean(inputs: Any, training: bool) -> Any:
        return tf.add_n([t(inputs, training=training) for t in teachers]) / len(teachers)

    return mean


def _opened(network: Model, hidden: list[Any], attention: list[Any]) -> Model:
    """`network` with its probabilities, tensors inside it, and maps of its attention layers."""
    return keras.Model(
        network.input, [network.output, *hidden, *(_attention_map(layer) for layer in attention)]
    )


def _projected(own: Any, its: Any) -> Any:
    """What `own` gives, in the teacher's channels: by a trained matrix where they differ.

    Romero et al. (2015), "FitNets: hints for thin deep nets", and Jiao et al. (2020) do so too.
    """
    width = given_by(its).shape[-1]
    if given_by(own).shape[-1] == width:
        return given_by(own)
    return keras.layers.Dense(width, use_bias=False, name=f"to_teacher_{own.name}")(given_by(own))


def _attention_map(layer: Any) -> Any:
    """Where a MultiHeadAttention looks, shape (batch, heads, to, from); sums to 1 over the last."""
    call = layer.inbound_nodes[0]
    _, maps = layer(*call.call_args, **{**call.call_kwargs, "return_attention_scores": True})
    return maps

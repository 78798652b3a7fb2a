"""An ensemble as one network: it teaches, converts and runs on a device as any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras as keras

Model = Any


def join(members: Sequence[Model]) -> Model:
    """A network that gives the mean of the members' probabilities; a single member is given back.

    Its layers are those of the members, side by side and not nested, with ``memberN_`` before their
    names, so that all later steps find them.
    """
    if len(members) == 1:
        return members[0]
    entry = keras.layers.Input(members[0].input_shape[1:])
    copies = [_renamed(member, entry, f"member{n}_") for n, member in enumerate(members, 1)]
    return keras.Model(entry, keras.layers.Average()([copy.output for copy in copies]))


def label_weights(member: int, members: int, labels: int, focus: float) -> tuple[float, ...]:
    """How much examples of each label count to member number `member`, from 0; 1 in the mean.

    The labels are dealt out among the members, and each is a specialist of its own: it counts their
    examples `focus` times as much (after the specialists of Hinton, Vinyals and Dean, 2015, section
    5, which see more examples of their classes).
    """
    raw = [focus if label % members == member else 1.0 for label in range(labels)]
    return tuple(weight * labels / sum(raw) for weight in raw)


def _renamed(member: Model, entry: Any, prefix: str) -> Model:
    def rename(layer: Any) -> Any:
        configuration = layer.get_config()
        return type(layer).from_config({**configuration, "name": prefix + configuration["name"]})

    copy = keras.models.clone_model(member, input_tensors=entry, clone_function=rename)
    copy.set_weights(member.get_weights())
    return copy

"""What keeps old words: the old model's outputs, and the importance of each weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.training.losses import Loss, soft_loss

Model = Any
_LEAST = 1e-7


def with_memory(
    loss: Loss,
    old_model: Model,
    old_places: Sequence[int],
    weight: float,
    temperature: float,
    penalties: Sequence[Any] = (),
) -> Loss:
    """`loss`, and what `old_model` gives on the same inputs among the old labels.

    Args:
        loss: of the labels.
        old_model: its outputs stand at `old_places` of the new model's.
        old_places: places.
        weight: of the old model's part; 0 leaves it out.
        temperature: softens both there.
        penalties: functions without arguments that are added.
    """

    def whole(inputs: Any, labels: Any, probabilities: Any) -> Any:
        total = loss(inputs, labels, probabilities)
        if weight:
            old = among(probabilities, old_places)
            total += weight * soft_loss(old_model(inputs, training=False), old, temperature)
        for penalty in penalties:
            total += penalty()
        return total

    return whole


def among(probabilities: Any, places: Sequence[int]) -> Any:
    """Probabilities of the labels at `places`, given that it is one of them."""
    chosen = tf.gather(probabilities, list(places), axis=-1)
    return chosen / (tf.reduce_sum(chosen, -1, keepdims=True) + _LEAST)


def elastic(model: Model, importance: Sequence[npt.NDArray[np.float32]], weight: float) -> Any:
    """EWC's penalty: half the weight, by importance, of the squared way of each variable from now."""
    variables = list(model.trainable_variables)
    anchors = [tf.constant(v.numpy()) for v in variables]

    def penalty() -> Any:
        ways = [
            tf.reduce_sum(fisher * (v - anchor) ** 2)
            for v, anchor, fisher in zip(variables, anchors, importance, strict=True)
        ]
        return 0.5 * weight * tf.add_n(ways)

    return penalty


def importance_of(
    model: Model,
    inputs: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
    places: Sequence[int],
) -> list[npt.NDArray[np.float32]]:
    """The diagonal of the Fisher information, a tensor a trainable variable, from labelled examples.

    It is the mean square of the gradient of the log-likelihood (empirical, by the true labels), among
    the labels at `places`.

    Args:
        model: the network.
        inputs: shape (examples, frames, channels, depth).
        labels: places of their labels among all.
        places: of the old labels.
    """
    variables = list(model.trainable_variables)
    index = {place: i for i, place in enumerate(places)}

    @tf.function
    def squared(example: Any, place: Any) -> Any:
        with tf.GradientTape() as tape:
            old = among(model(example[None], training=False), places)
            likelihood = tf.math.log(old[0, place] + _LEAST)
        return [tf.square(g) for g in tape.gradient(likelihood, variables)]

    total = [np.zeros(v.shape, np.float32) for v in variables]
    for example, label in zip(inputs, labels, strict=True):
        squares = squared(tf.constant(example), tf.constant(index[int(label)]))
        total = [t + s.numpy() for t, s in zip(total, squares, strict=True)]
    return [t / len(inputs) for t in total]

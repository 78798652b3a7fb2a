"""Losses, on softmax outputs, so that the trained graph is the one that is converted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Tensor = Any
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
_LEAST = 1e-7


def hard_loss(label_smoothing: float, label_weights: Sequence[float] = ()) -> Loss:
    """Cross-entropy with the (smoothed) labels; takes (inputs, one-hot labels, probabilities).

    `label_weights` says how much an example of each label counts; without them all count alike.
    """

    def loss(inputs: Tensor, labels: Tensor, probabilities: Tensor) -> Tensor:
        smooth = labels * (1.0 - label_smoothing) + label_smoothing / labels.shape[-1]
        if not label_weights:
            return _cross_entropy(smooth, probabilities)
        weights = tf.linalg.matvec(labels, tf.constant(label_weights, tf.float32))
        return _cross_entropy(smooth * weights[:, None], probabilities)

    return loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """A tensor inside the student that is to become like one inside the teacher.

    Attributes:
        weight: of its distance in the loss.
        distance: of (the student's, the teacher's) tensors, a scalar.
    """

    weight: float
    distance: Callable[[Tensor, Tensor], Tensor]


def distillation_loss(
    teacher: Any,
    temperature: float,
    hard_weight: float,
    label_smoothing: float,
    matches: Sequence[Match] = (),
) -> Loss:
    """Hinton, Vinyals and Dean (2015): soft targets of `teacher` at a temperature, and hard ones.

    With `matches`, student and teacher both give a list: their probabilities, then
    a tensor for each match.
    """
    hard = hard_loss(label_smoothing)

    def loss(inputs: Tensor, labels: Tensor, given: Tensor) -> Tensor:
        taught = teacher(inputs, training=False)
        probabilities, *inner = given if matches else [given]
        target, *inner_target = taught if matches else [taught]
        total = hard_weight * hard(inputs, labels, probabilities)
        total += (1.0 - hard_weight) * soft_loss(target, probabilities, temperature)
        for match, own, wanted in zip(matches, inner, inner_target, strict=True):
            total += match.weight * match.distance(own, wanted)
        return total

    return loss


def soft_loss(target: Tensor, probabilities: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of both at a temperature.

    Scaled by the square of the temperature, so that weights keep their meaning when it changes.
    """
    softened = _softened(target, temperature), _softened(probabilities, temperature)
    return _cross_entropy(*softened) * temperature**2


def hidden_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of hidden states of length 1, 0 to 4, mean over the batch.

    Sun, Cheng, Gan and Liu (2019), "Patient knowledge distillation for BERT model compression",
    equation 7. The state is all that the layer gives for an example.
    """
    own, wanted = (tf.reshape(x, (tf.shape(x)[0], -1)) for x in (student, teacher))
    apart = tf.math.l2_normalize(own, -1) - tf.math.l2_normalize(wanted, -1)
    return tf.reduce_mean(tf.reduce_sum(apart**2, -1))


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of attention before its softmax; maps (batch, heads, to, from).

    Jiao et al. (2020), "TinyBERT: distilling BERT for natural language understanding", equation 7.
    The logarithm of a softmax is its logits but for a shift a row, which changes nothing and is
    taken out of both.
    """
    own, wanted = (_centred_logits(maps) for maps in (student, teacher))
    return tf.reduce_mean((own - wanted) ** 2)


def _centred_logits(maps: Tensor) -> Tensor:
    logits = tf.math.log(maps + _LEAST)
    return logits - tf.reduce_mean(logits, -1, keepdims=True)


def _softened(probabilities: Tensor, temperature: float) -> Tensor:
    """Softmax at a temperature, from probabilities: softmax(z / T) = softmax(log(p) / T)."""
    return tf.nn.softmax(tf.math.log(probabilities + _LEAST) / temperature)


def _cross_entropy(target: Tensor, probabilities: Tensor) -> Tensor:
    return -tf.reduce_mean(tf.reduce_sum(target * tf.math.log(probabilities + _LEAST), -1))

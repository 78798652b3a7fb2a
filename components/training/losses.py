"""Losses, on softmax outputs, so that the trained graph is the one that is converted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
_LEAST = 1e-7


def hard_loss(label_smoothing: float) -> Loss:
    """Cross-entropy with the (smoothed) labels; takes (inputs, one-hot labels, probabilities)."""

    def loss(inputs: Tensor, labels: Tensor, probabilities: Tensor) -> Tensor:
        smooth = labels * (1.0 - label_smoothing) + label_smoothing / labels.shape[-1]
        return _cross_entropy(smooth, probabilities)

    return loss


def distillation_loss(
    teacher: Any, temperature: float, hard_weight: float, label_smoothing: float
) -> Loss:
    """Hinton, Vinyals and Dean (2015): soft targets of `teacher` at a temperature, and hard ones.

    The soft part is scaled by the square of the temperature, so that the weights keep their meaning
    when it changes.
    """
    hard = hard_loss(label_smoothing)

    def loss(inputs: Tensor, labels: Tensor, probabilities: Tensor) -> Tensor:
        target = _softened(teacher(inputs, training=False), temperature)
        soft = _cross_entropy(target, _softened(probabilities, temperature)) * temperature**2
        return hard_weight * hard(inputs, labels, probabilities) + (1.0 - hard_weight) * soft

    return loss


def _softened(probabilities: Tensor, temperature: float) -> Tensor:
    """Softmax at a temperature, from probabilities: softmax(z / T) = softmax(log(p) / T)."""
    return tf.nn.softmax(tf.math.log(probabilities + _LEAST) / temperature)


def _cross_entropy(target: Tensor, probabilities: Tensor) -> Tensor:
    return -tf.reduce_mean(tf.reduce_sum(target * tf.math.log(probabilities + _LEAST), -1))

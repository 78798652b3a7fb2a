"""Gradients of few bits, rounded at random so that they are right on average.

Gupta et al. (2015), "Deep learning with limited numerical precision"; that gradients need it where weights
and activations do not, is from Zhou et al. (2016), "DoReFa-Net".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

Tensor = Any


def rounded(gradient: Tensor, bits: int, seed: Tensor) -> Tensor:
    """`gradient` on a grid of 2^bits - 1 steps around 0, up to its own largest size.

    A value between two steps goes to the upper one with the probability of its distance from the lower
    one, so that its expectation is the value itself.

    Args:
        gradient: of any shape.
        bits: of each value, its sign among them, 2 or more.
        seed: two integers; the same ones give the same rounding.
    """
    step = tf.reduce_max(tf.abs(gradient)) / (2.0 ** (bits - 1) - 1.0)
    steps = tf.math.divide_no_nan(gradient, step)
    lower = tf.floor(steps)
    draws = tf.random.stateless_uniform(tf.shape(gradient), seed)
    return step * (lower + tf.cast(draws < steps - lower, gradient.dtype))


def all_rounded(gradients: Sequence[Tensor], bits: int, seed: int, count: Tensor) -> list[Tensor]:
    """Each of `gradients` of training step number `count`, `rounded` by draws of its own."""
    return [
        rounded(gradient, bits, tf.stack([tf.constant(seed + place), count]))
        for place, gradient in enumerate(gradients)
    ]

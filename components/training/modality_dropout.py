"""Modality dropout: examples in which one input is missing, so that a network learns to do without it.

After Neverova et al. (2016), "ModDrop: adaptive multi-modal gesture recognition". A missing input is what a
device feeds where a sensor is silent: a fixed value, its mean in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

Tensor = Any


def drop_inputs(
    inputs: Sequence[Tensor], absent: Sequence[Tensor], share: float, seed: Tensor
) -> list[Tensor]:
    """`inputs` with one of them replaced in a share of the examples; never two in one example.

    Args:
        inputs: each of shape (batch, ...).
        absent: what stands for each where it is missing, of its shape without the batch.
        share: share of the examples that lose an input, evenly among the inputs, 0 to 1.
        seed: two integers; equal seeds give equal choices.

    Raises:
        ValueError: if there are not as many `absent` as `inputs`, or the share is out of range.
    """
    if len(inputs) != len(absent) or not inputs:
        raise ValueError(f"{len(inputs)} inputs and {len(absent)} values for missing ones")
    if not 0.0 <= share <= 1.0:
        raise ValueError("share must be 0 to 1")
    draw = tf.random.stateless_uniform((tf.shape(inputs[0])[0],), seed)
    each = share / len(inputs)
    dropped = []
    for place, (value, missing) in enumerate(zip(inputs, absent, strict=True)):
        lost = (draw >= place * each) & (draw < (place + 1) * each)
        wide = tf.reshape(lost, (-1, *[1] * (len(value.shape) - 1)))
        dropped.append(tf.where(wide, tf.cast(missing, value.dtype)[None], value))
    return dropped

"""Modality dropout: examples in which one input, or one sense among the channels of a single input, is
missing, so that a network learns to do without it.

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


def drop_senses(
    windows: Tensor, senses: Sequence[Sequence[int]], share: float, seed: Tensor
) -> Tensor:
    """`windows` of normalised rows with one sense at its mean, 0, in a share of them; never two.

    Equal seeds drop the same senses from as many windows: what is seen and what is to be given back go
    together.

    Args:
        windows: shape (batch, rows, channels).
        senses: places of each one's channels; those of no sense are always there.
        share: share of the windows that lose a sense, evenly among the senses, 0 to 1.
        seed: two integers.

    Raises:
        ValueError: if there is no sense, or the share is out of range.
    """
    rows, channels = tf.shape(windows)[0], windows.shape[-1]
    there, gone = tf.ones((rows, 1), windows.dtype), tf.zeros((1,), windows.dtype)
    kept = drop_inputs([there] * len(senses), [gone] * len(senses), share, seed)
    of_sense = [tf.reduce_sum(tf.one_hot(s, channels, dtype=windows.dtype), 0) for s in senses]
    lost = (1 - tf.concat(kept, 1)) @ tf.stack(of_sense)
    return windows * (1 - lost)[:, None, :]

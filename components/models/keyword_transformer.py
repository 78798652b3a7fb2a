"""Keyword transformer: Berg, O'Connor and Cruz (2021), "Keyword transformer: a self-attention model for
keyword spotting".

With ReLU6 in place of GELU, which TFLM lacks; a depthwise convolution over time in place of learned
positions (Chu et al., 2021, "Conditional positional encodings for vision transformers"); and the mean
of all frames in place of the class token.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import normalised
from components.models.catalogue import heads_of

layers = keras.layers

_MLP = 2


def keyword_transformer(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """Patches of 3 frames every 2, then an attention layer for each width.

    Attention has a head for every 16 channels; a change of width is a dense layer.
    """
    inputs = layers.Input((frames, channels, 1))
    x = normalised(inputs, widths[0], (3, channels), (2, 1), padding="valid")
    x = layers.Add()([x, layers.DepthwiseConv2D((5, 1), padding="same")(x)])
    x = layers.Reshape((x.shape[1], widths[0]))(x)
    for width in widths:
        if x.shape[-1] != width:
            x = layers.Dense(width)(x)
        x = _attention(x, width)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(labels, activation="softmax")(x))


def _attention(x: Any, width: int) -> Any:
    heads = heads_of(width)
    y = layers.MultiHeadAttention(heads, width // heads)(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    y = layers.Dense(width)(layers.ReLU(6.0)(layers.Dense(_MLP * width)(x)))
    return layers.LayerNormalization()(layers.Add()([x, y]))

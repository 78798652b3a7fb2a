"""The layers that several architectures are made of."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

layers = keras.layers

Size = int | tuple[int, int]


def normalised(x: Any, width: int, size: Size, strides: Size = 1, *, padding: str = "same") -> Any:
    """A convolution without bias, batch-normalised; linear."""
    x = layers.Conv2D(
        width,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return layers.BatchNormalization(momentum=0.97)(x)


def depthwise(x: Any, size: Size, strides: Size = 1, *, dilation: Size = 1) -> Any:
    """A convolution of each channel by itself, batch-normalised; linear."""
    x = layers.DepthwiseConv2D(
        size,
        strides=strides,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        depthwise_initializer="he_normal",
    )(x)
    return layers.BatchNormalization(momentum=0.97)(x)


def pooled(x: Any) -> Any:
    """The mean over time and frequency, shape (batch, 1, 1, channels)."""
    return layers.AveragePooling2D((x.shape[1], x.shape[2]))(x)


def classifier(x: Any, labels: int) -> Any:
    """Probabilities from the mean over time and frequency."""
    return layers.Dense(labels, activation="softmax")(layers.Flatten()(pooled(x)))

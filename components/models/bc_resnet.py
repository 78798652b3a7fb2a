"""BC-ResNet: Kim et al. (2021), "Broadcasted residual learning for efficient keyword spotting".

Most of a block works on one value a frame and channel, the mean over frequency, and is added back to
all frequencies. Plain batch normalisation stands in for the paper's sub-spectral one.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import classifier, depthwise, normalised

layers = keras.layers


def bc_resnet(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 5x5 convolution of stride 2 in frequency, then a transition and a normal block for each width.

    Frequency is halved at each further width, and the dilation in time doubled.
    """
    inputs = layers.Input((frames, channels, 1))
    x = layers.ReLU()(normalised(inputs, widths[0], 5, (1, 2)))
    for stage, width in enumerate(widths):
        x = _transition(x, width, 2 if stage else 1, 2**stage)
        x = _normal(x, 2**stage)
    x = layers.ReLU()(normalised(x, 2 * widths[-1], 1))
    return keras.Model(inputs, classifier(x, labels))


def _transition(x: Any, width: int, strides: int, dilation: int) -> Any:
    x = layers.ReLU()(normalised(x, width, 1))
    x = depthwise(x, (1, 3), strides) if strides == 1 else _halved(x)
    return layers.ReLU()(layers.Add()([x, _broadcast(x, dilation)]))


def _normal(x: Any, dilation: int) -> Any:
    y = depthwise(x, (1, 3))
    return layers.ReLU()(layers.Add()([x, y, _broadcast(y, dilation)]))


def _halved(x: Any) -> Any:
    # TFLite's depthwise convolution has one stride for both axes; pooling has two.
    return layers.AveragePooling2D((1, 2), padding="same")(depthwise(x, (1, 3)))


def _broadcast(x: Any, dilation: int) -> Any:
    """What the mean over frequency becomes, shape (batch, frames, 1, channels)."""
    y = layers.AveragePooling2D((1, x.shape[2]))(x)
    y = layers.Activation("swish")(depthwise(y, (3, 1), dilation=(dilation, 1)))
    return layers.ReLU()(layers.Conv2D(x.shape[-1], 1)(y))

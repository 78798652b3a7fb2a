"""MobileNet: Howard et al. (2017), "MobileNets: efficient convolutional neural networks for mobile vision
applications"."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import Size, classifier, depthwise, normalised

layers = keras.layers


def mobilenet_v1(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 3x3 convolution of stride 2, then two depthwise-separable blocks for each width.

    The first of two has stride 2, but for the first width.
    """
    inputs = layers.Input((frames, channels, 1))
    x = layers.ReLU(6.0)(normalised(inputs, widths[0], 3, 2))
    for stage, width in enumerate(widths):
        x = _separable(x, width, 2 if stage else 1)
        x = _separable(x, width, 1)
    return keras.Model(inputs, classifier(x, labels))


def _separable(x: Any, width: int, strides: Size) -> Any:
    x = layers.ReLU(6.0)(depthwise(x, 3, strides))
    return layers.ReLU(6.0)(normalised(x, width, 1))

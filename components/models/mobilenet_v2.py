"""MobileNetV2: Sandler et al. (2018), "MobileNetV2: inverted residuals and linear bottlenecks"."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import Size, classifier, depthwise, normalised

layers = keras.layers

_EXPANSION = 6
_HEAD = 4


def mobilenet_v2(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 3x3 convolution of stride 2, two inverted residuals for each width, and a 1x1 convolution.

    The first residual of two has stride 2, but for the first width; the widths are those of the
    bottlenecks. The last convolution has four times the last of them.
    """
    inputs = layers.Input((frames, channels, 1))
    x = layers.ReLU(6.0)(normalised(inputs, widths[0], 3, 2))
    for stage, width in enumerate(widths):
        x = _inverted(x, width, 2 if stage else 1)
        x = _inverted(x, width, 1)
    x = layers.ReLU(6.0)(normalised(x, _HEAD * widths[-1], 1))
    return keras.Model(inputs, classifier(x, labels))


def _inverted(x: Any, width: int, strides: Size) -> Any:
    before = x.shape[-1]
    y = layers.ReLU(6.0)(normalised(x, _EXPANSION * before, 1))
    y = layers.ReLU(6.0)(depthwise(y, 3, strides))
    y = normalised(y, width, 1)
    return layers.Add()([x, y]) if strides == 1 and before == width else y

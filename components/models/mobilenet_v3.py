"""MobileNetV3: Howard et al. (2019), "Searching for MobileNetV3": squeeze-and-excitation, hard-swish."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import Size, classifier, depthwise, normalised, pooled

layers = keras.layers

_EXPANSION = 4
_SQUEEZE = 4
_HEAD = 4


def mobilenet_v3(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """As `mobilenet_v2`, with hard-swish, and squeeze-and-excitation behind each depthwise layer."""
    inputs = layers.Input((frames, channels, 1))
    x = _hard_swish(normalised(inputs, widths[0], 3, 2))
    for stage, width in enumerate(widths):
        x = _inverted(x, width, 2 if stage else 1)
        x = _inverted(x, width, 1)
    x = _hard_swish(normalised(x, _HEAD * widths[-1], 1))
    return keras.Model(inputs, classifier(x, labels))


def _inverted(x: Any, width: int, strides: Size) -> Any:
    before = x.shape[-1]
    y = _hard_swish(normalised(x, _EXPANSION * before, 1))
    y = _hard_swish(depthwise(y, 3, strides))
    y = normalised(_excited(y), width, 1)
    return layers.Add()([x, y]) if strides == 1 and before == width else y


def _excited(x: Any) -> Any:
    """`x` with each channel weighed by a gate of 0 to 6 that follows from all of them.

    The paper's hard sigmoid is relu6(z + 3) / 6: the 3 is where the bias starts, and the sixth is left
    to the normalisation behind.
    """
    width = x.shape[-1]
    y = layers.Conv2D(max(1, width // _SQUEEZE), 1, activation="relu")(pooled(x))
    y = layers.Conv2D(width, 1, bias_initializer=keras.initializers.Constant(3.0))(y)
    return layers.Multiply()([x, layers.ReLU(6.0)(y)])


def _hard_swish(x: Any) -> Any:
    # In this form the converter finds HARD_SWISH.
    gate = layers.ReLU(6.0)(layers.Rescaling(1.0, offset=3.0)(x))
    return layers.Multiply()([x, layers.Rescaling(1.0 / 6.0)(gate)])

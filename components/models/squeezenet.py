"""SqueezeNet: Iandola et al. (2016), "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters"."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import normalised, pooled

layers = keras.layers

_SQUEEZE = 4


def squeezenet(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 3x3 convolution of stride 2, then two fire modules for each width, pooled between widths.

    A fire module squeezes to a quarter of its width by 1x1 and expands by 1x1 and 3x3, half each. The
    labels are channels of a last 1x1 convolution, as in the paper.

    Raises:
        ValueError: if a width is not a multiple of 4.
    """
    if any(width % _SQUEEZE for width in widths):
        raise ValueError("widths must be multiples of 4")
    inputs = layers.Input((frames, channels, 1))
    x = layers.ReLU()(normalised(inputs, widths[0], 3, 2))
    for stage, width in enumerate(widths):
        if stage:
            x = layers.MaxPooling2D(3, 2, padding="same")(x)
        x = _fire(_fire(x, width), width)
    x = layers.Flatten()(pooled(layers.Conv2D(labels, 1)(x)))
    return keras.Model(inputs, layers.Softmax()(x))


def _fire(x: Any, width: int) -> Any:
    squeezed = layers.ReLU()(normalised(x, width // _SQUEEZE, 1))
    expanded = [layers.ReLU()(normalised(squeezed, width // 2, size)) for size in (1, 3)]
    return layers.Concatenate()(expanded)

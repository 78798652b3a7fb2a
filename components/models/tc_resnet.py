"""TC-ResNet: Choi et al. (2019), "Temporal convolution for real-time keyword spotting on mobile devices".

The mel channels are the channels of the first layer, and every convolution runs over time alone.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import classifier, normalised

layers = keras.layers

_TAPS = (9, 1)


def tc_resnet(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A convolution of 3 frames, then a residual block of 9-frame convolutions for each width.

    Every block has stride 2 in time. ``widths=(16, 24, 32, 48)`` is near the paper's TC-ResNet8.
    """
    inputs = layers.Input((frames, channels, 1))
    x = layers.Reshape((frames, 1, channels))(inputs)
    x = layers.ReLU()(normalised(x, widths[0], (3, 1)))
    for width in widths:
        x = _residual(x, width)
    return keras.Model(inputs, classifier(x, labels))


def _residual(x: Any, width: int) -> Any:
    y = layers.ReLU()(normalised(x, width, _TAPS, (2, 1)))
    y = normalised(y, width, _TAPS)
    shortcut = layers.ReLU()(normalised(x, width, 1, (2, 1)))
    return layers.ReLU()(layers.Add()([shortcut, y]))

"""DS-CNN: Zhang, Suda, Lai and Chandra (2017), "Hello Edge: keyword spotting on microcontrollers"."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import classifier, depthwise, normalised

layers = keras.layers

_BLOCKS_A_STAGE = 2


def ds_cnn(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 10x4 convolution of stride 2, then two depthwise-separable blocks for each width.

    ``widths=(64, 64)`` is the paper's small network.
    """
    inputs = layers.Input((frames, channels, 1))
    x = layers.ReLU()(normalised(inputs, widths[0], (10, 4), 2))
    for width in widths:
        for _ in range(_BLOCKS_A_STAGE):
            x = layers.ReLU()(depthwise(x, 3))
            x = layers.ReLU()(normalised(x, width, 1))
    return keras.Model(inputs, classifier(x, labels))

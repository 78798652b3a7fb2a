"""A small residual network that streams exactly.

After res8 of Tang and Lin (2018), "Deep residual learning for small-footprint keyword spotting", with
every convolution unpadded in time, shortcuts cropped to fit, and pooling over a fixed window: what it
computes for a frame does not depend on where the window begins, so a streaming form costs nothing.
"""

from __future__ import annotations

import itertools
from typing import Any

import tf_keras as keras

from components.models.blocks import Size, classifier, normalised

layers = keras.layers


def streaming_resnet(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 5x5 convolution of stride 2, then for each further width a residual block.

    A change of width is a 3x3 convolution of stride 2 along the mel axis.
    """
    inputs = layers.Input((frames, channels, 1))
    x = _convolution(inputs, widths[0], 5, (2, 2))
    x = _residual(x, widths[0])
    for before, width in itertools.pairwise(widths):
        if width != before:
            x = _convolution(x, width, 3, (1, 2))
        x = _residual(x, width)
    return keras.Model(inputs, classifier(x, labels))


def _convolution(x: Any, width: int, size: Size, strides: Size) -> Any:
    return layers.ReLU()(normalised(x, width, size, strides, padding="valid"))


def _residual(x: Any, width: int) -> Any:
    y = _convolution(x, width, 3, 1)
    y = normalised(y, width, 3, padding="valid")
    return layers.ReLU()(layers.Add()([layers.Cropping2D(2)(x), y]))

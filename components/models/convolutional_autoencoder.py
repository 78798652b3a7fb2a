"""Convolutional autoencoder: Masci et al. (2011), "Stacked convolutional auto-encoders for hierarchical
feature extraction".

Upsampling repeats values and a convolution follows (Odena et al., 2016, "Deconvolution and checkerboard
artifacts"), in place of a transposed convolution.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import normalised

layers = keras.layers


def convolutional_autoencoder(*, frames: int, channels: int, widths: tuple[int, ...]) -> Any:
    """A 3x3 convolution of stride 2 for each width, and the same way back, upsampled and cropped.

    The last width is the bottleneck's channels.
    """
    inputs = layers.Input((frames, channels, 1))
    x, sizes = inputs, []
    for width in widths:
        sizes.append((x.shape[1], x.shape[2]))
        x = layers.ReLU()(normalised(x, width, 3, 2))
    for width, size in zip((*reversed(widths[:-1]), widths[0]), reversed(sizes), strict=True):
        x = _cropped(layers.UpSampling2D(2)(x), size)
        x = layers.ReLU()(normalised(x, width, 3))
    x = layers.Conv2D(1, 3, padding="same")(x)
    return keras.Model(inputs, layers.Flatten()(x))


def _cropped(x: Any, size: tuple[int, int]) -> Any:
    """`x` without what rounding up added to an odd size."""
    surplus = tuple((0, x.shape[1 + axis] - size[axis]) for axis in range(2))
    return layers.Cropping2D(surplus)(x) if any(more for _, more in surplus) else x

"""Dense autoencoder: Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural
networks"; in the form of Koizumi et al. (2020), the baseline of DCASE's task on machines' sounds."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

layers = keras.layers


def dense_autoencoder(*, frames: int, channels: int, widths: tuple[int, ...]) -> Any:
    """Dense layers of `widths`, of which the last is the bottleneck, and the same way back.

    ``widths=(128, 128, 128, 128, 8)`` is the baseline's.
    """
    inputs = layers.Input((frames, channels, 1))
    x = layers.Flatten()(inputs)
    for width in (*widths, *reversed(widths[:-1])):
        x = layers.Dense(width, use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.97)(x))
    return keras.Model(inputs, layers.Dense(frames * channels)(x))

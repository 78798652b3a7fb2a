"""Forecaster: dense layers over a window of rows foretell the row after it.

The windowed form of the network of Lapedes and Farber (1987), "Nonlinear signal processing using neural
networks: prediction and system modelling".
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

layers = keras.layers


def dense_forecaster(*, frames: int, channels: int, widths: tuple[int, ...]) -> Any:
    """Dense layers of `widths`, and one value a channel behind them."""
    inputs = layers.Input((frames, channels, 1))
    x = layers.Flatten()(inputs)
    for width in widths:
        x = layers.Dense(width, use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.97)(x))
    return keras.Model(inputs, layers.Dense(channels)(x))

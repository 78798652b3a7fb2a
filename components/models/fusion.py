"""Two senses, one decision: a window (of sound or vibration) and a row of slow sensors, fused late.

Trained with modality dropout (`components.training.modality_dropout`), as in Neverova et al. (2016),
"ModDrop: adaptive multi-modal gesture recognition", it goes on with one of them where the other is missing.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import normalised, pooled

layers = keras.layers

WINDOW, SENSORS = "window", "sensors"
"""Names of the two inputs."""


def fusion(
    *, frames: int, channels: int, sensors: int, labels: int, widths: tuple[int, ...]
) -> Any:
    """A 3x3 convolution of stride 2 for each width on the window, a dense layer on the sensors, and a
    dense layer of the last width on both.

    Args:
        frames: rows of the window.
        channels: values of such a row.
        sensors: values beside the window.
        labels: how many.
        widths: channels of the window's stages.
    """
    window, values = (
        layers.Input((frames, channels, 1), name=WINDOW),
        layers.Input((sensors,), name=SENSORS),
    )
    x = window
    for width in widths:
        x = layers.ReLU()(normalised(x, width, 3, 2))
    seen = layers.Dense(widths[-1], activation="relu")(layers.Flatten()(pooled(x)))
    felt = layers.Dense(widths[-1], activation="relu")(values)
    both = layers.Dense(widths[-1], activation="relu")(layers.Concatenate()([seen, felt]))
    return keras.Model([window, values], layers.Dense(labels, activation="softmax")(both))

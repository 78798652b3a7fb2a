"""ShuffleNet: Zhang et al. (2017), "ShuffleNet: an extremely efficient convolutional neural network for
mobile devices".

A grouped convolution and the channel shuffle behind it are written without either operator, which the
Edge TPU lacks: the groups are tensors of their own, each group makes the pieces that every other one is
to get, and a shuffle is which pieces are concatenated.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from components.models.blocks import Size, classifier, depthwise, normalised

layers = keras.layers

_GROUPS = 2
_SQUEEZE = 4
_MULTIPLE = _GROUPS * _GROUPS * _SQUEEZE


def shufflenet(*, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """A 3x3 convolution of stride 2, then two units of two groups for each width.

    The first unit of two has stride 2 and concatenates its pooled input, but for the first width.

    Raises:
        ValueError: if a width is not a multiple of 16, or not larger than the one before it.
    """
    if any(width % _MULTIPLE for width in widths) or list(widths) != sorted(set(widths)):
        raise ValueError(f"widths must be rising multiples of {_MULTIPLE}")
    inputs = layers.Input((frames, channels, 1))
    groups = [layers.ReLU()(normalised(inputs, widths[0] // _GROUPS, 3, 2)) for _ in range(_GROUPS)]
    for stage, width in enumerate(widths):
        groups = _unit(groups, width, 2 if stage else 1)
        groups = _unit(groups, width, 1)
    return keras.Model(inputs, classifier(layers.Concatenate()(groups), labels))


def _unit(groups: list[Any], width: int, strides: Size) -> list[Any]:
    piece = width // _MULTIPLE
    pieces = [[layers.ReLU()(normalised(g, piece, 1)) for _ in groups] for g in groups]
    shuffled = [layers.Concatenate()([made[i] for made in pieces]) for i in range(len(groups))]
    filtered = [depthwise(group, 3, strides) for group in shuffled]
    if strides == 1:
        made = [normalised(group, width // _GROUPS, 1) for group in filtered]
        both = zip(groups, made, strict=True)
        return [layers.ReLU()(layers.Add()([group, new])) for group, new in both]
    shortcuts = [layers.AveragePooling2D(3, strides, padding="same")(group) for group in groups]
    rest = width // _GROUPS - groups[0].shape[-1]
    made = [layers.ReLU()(normalised(group, rest, 1)) for group in filtered]
    both = zip(shortcuts, made, strict=True)
    return [layers.Concatenate()([shortcut, new]) for shortcut, new in both]

"""An early-exit pair: Teerapittayanon et al. (2016), "BranchyNet: fast inference via early exiting from deep
neural networks", cut where the first exit stands.

One graph with two exits computes both, whatever the first one says: TFLite has no way out in the middle. So
the network is trained as one and shipped as two: the head gives its answer and what the tail needs to go
on; the caller runs the tail only where that answer is not sure enough.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tf_keras as keras

from components.models.blocks import classifier, depthwise, normalised

layers = keras.layers

WINDOW, TRUNK = "window", "trunk"
"""Names of the inputs of head and tail."""

# Between the two, values stay within 0 and 6, so that both models read them on nearly one grid.
_CEILING = 6.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExitPair:
    """One trained network in three views of the same weights.

    Attributes:
        joint: window to [early probabilities, late probabilities]; what is trained, on both.
        head: window to [early probabilities, the trunk].
        tail: the trunk to late probabilities.
    """

    joint: Any
    head: Any
    tail: Any


def early_exit(
    *, frames: int, channels: int, labels: int, widths: tuple[int, ...]
) -> EarlyExitPair:
    """A 3x3 convolution of stride 2 and a separable block for the first width, where the early exit
    stands; then two separable blocks for each further width.

    Raises:
        ValueError: if there is one width alone, and so nothing behind the exit.
    """
    if len(widths) < 2:
        raise ValueError("widths must be two or more: one before the exit, the others behind it")
    window = layers.Input((frames, channels, 1), name=WINDOW)
    x = layers.ReLU(_CEILING)(normalised(window, widths[0], 3, 2))
    x = _separable(x, widths[0], 2)
    head = keras.Model(window, [classifier(x, labels), x])

    trunk = layers.Input(x.shape[1:], name=TRUNK)
    y = trunk
    for width in widths[1:]:
        y = _separable(_separable(y, width, 1), width, 1)
    tail = keras.Model(trunk, classifier(y, labels))

    early, passed = head(window)
    return EarlyExitPair(joint=keras.Model(window, [early, tail(passed)]), head=head, tail=tail)


def _separable(x: Any, width: int, strides: int) -> Any:
    x = layers.ReLU(_CEILING)(depthwise(x, 3, strides))
    return layers.ReLU(_CEILING)(normalised(x, width, 1))

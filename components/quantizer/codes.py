"""Few values for weights: how a kernel is replaced by one that takes only some values.

Each channel of a convolution's output has a scale of its own, a dense kernel one for all, as in the int8
file: what is written there is the value without its scale, so that a kernel takes no more values in the
file than it has here. Gradients pass as if nothing were replaced (Bengio, Léonard and Courville, 2013,
"Estimating or propagating gradients through stochastic neurons": the straight-through estimator), and
weights that are zero from the start stay zero, but for binary ones, which cannot be.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.quantizer.component import Coding

Tensor = Any
Kernel = npt.NDArray[np.float32]

_HIGHEST = 127
_INT4_HIGHEST = 7
# Weights below this share of the mean size become 0 (Li, Zhang and Liu, 2016, section 2.2).
_TERNARY_THRESHOLD = 0.7
_LLOYD_ROUNDS = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """What replaces the weights of one layer.

    Attributes:
        coding: which values there are; ``int8`` for all that int8 rounding allows.
        axes: of the kernel, over which a scale holds; None for all.
        mask: 0 where a weight is held at zero, 1 elsewhere; None where none is.
        book: the values of ``clustered``, over the scale.
    """

    coding: Coding | Literal["int8"]
    axes: tuple[int, ...] | None
    mask: Kernel | None
    book: Kernel | None

    # Its branches are not ones of the graph.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, weights: Tensor) -> Tensor:
        """The weights as they are used; of the same shape."""
        held = tf.convert_to_tensor(weights)
        if self.mask is not None:
            held = held * tf.constant(self.mask)
        match self.coding:
            case "int8":
                return held
            case "ternary":
                coded = _ternary(held, self.axes)
            case "binary":
                mean = tf.reduce_mean(tf.abs(held), self.axes, keepdims=True)
                coded = mean * tf.where(held < 0, -1.0, 1.0)
            case "int4":
                scale = _largest(held, self.axes) / _INT4_HIGHEST
                coded = scale * tf.round(tf.math.divide_no_nan(held, scale))
            case "clustered":
                scale = _largest(held, self.axes)
                coded = scale * _nearest(tf.math.divide_no_nan(held, scale), self.book)
        return held + tf.stop_gradient(coded - held)


def code_for(coding: Coding, kernel: Kernel, clusters: int) -> Code:
    """The code of a layer whose kernel is `kernel` at the start.

    Args:
        coding: ``ternary`` (Li, Zhang and Liu, 2016, "Ternary weight networks"); ``binary`` (Rastegari et
            al., 2016, "XNOR-Net": sign times mean size); ``int4``: 15 equal steps; ``clustered``: few
            values, shared by the whole kernel (Han, Mao and Dally, 2016, "Deep compression").
        kernel: of a convolution, shape (rows, columns, inputs, outputs), or dense (inputs, outputs).
        clusters: how many values ``clustered`` allows.
    """
    axes = tuple(range(kernel.ndim - 1)) if kernel.ndim == 4 else None
    book = codebook(_normalised(kernel, axes), clusters) if coding == "clustered" else None
    mask = None if coding == "binary" else (kernel != 0).astype(np.float32)
    return Code(coding=coding, axes=axes, mask=mask, book=book)


def held_at_zero(kernel: Kernel) -> Code:
    """The code of a layer that keeps all of int8, and the zeros that its `kernel` has at the start."""
    return Code(coding="int8", axes=None, mask=(kernel != 0).astype(np.float32), book=None)


def codebook(normalised: Kernel, clusters: int) -> Kernel:
    """At most `clusters` values near to weights of -1 to 1, each a whole number of 127ths, ascending.

    Lloyd's algorithm (1982) on the sizes of the weights, from equal steps, with 0 and 1 held: the largest
    weight of a channel is its scale, and so can be told from the int8 file. Every value has its negative
    beside it, as a normalisation that is folded into a channel may turn its sign.
    """
    held = np.array([0.0, 1.0])
    free = np.linspace(0, 1, (clusters - 3) // 2 + 2)[1:-1] * 0.8
    sizes = np.abs(normalised.reshape(-1))
    for _ in range(_LLOYD_ROUNDS):
        centres = np.concatenate([held, free])
        nearest = np.abs(sizes[:, None] - centres).argmin(1)
        for place in range(len(free)):
            own = sizes[nearest == len(held) + place]
            if len(own):
                free[place] = own.mean()
    rounded = np.rint(np.concatenate([held, free]) * _HIGHEST) / _HIGHEST
    return np.unique(np.concatenate([-rounded, rounded])).astype(np.float32)


def _normalised(kernel: Kernel, axes: tuple[int, ...] | None) -> Kernel:
    largest = np.abs(kernel).max(axes, keepdims=True)
    return kernel / np.where(largest == 0, 1, largest)


def _ternary(weights: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    sizes = tf.abs(weights)
    threshold = _TERNARY_THRESHOLD * tf.reduce_mean(sizes, axes, keepdims=True)
    large = tf.cast(sizes > threshold, weights.dtype)
    count = tf.reduce_sum(large, axes, keepdims=True)
    scale = tf.math.divide_no_nan(tf.reduce_sum(sizes * large, axes, keepdims=True), count)
    return scale * large * tf.sign(weights)


def _largest(weights: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return tf.reduce_max(tf.abs(weights), axes, keepdims=True)


def _nearest(values: Tensor, book: Kernel | None) -> Tensor:
    places = tf.argmin(tf.abs(values[..., None] - tf.constant(book)), -1)
    return tf.gather(tf.constant(book), places)

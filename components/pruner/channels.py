"""Which channels of a network stand and fall together, and what one inference costs without some of them.

A channel that a convolution makes goes through the layers behind it as it is. Where tensors are added,
the channels in one place are one: none of them can be removed alone. This is the dependency graph of Fang
et al. (2023), "DepGraph: towards any structural pruning", channel by channel, so that concatenations of
groups need no rule of their own. What must stay as it is is fixed: the input, and the labels.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from components.base import UserError

Ids = npt.NDArray[np.int64]

# Layers behind which every channel is where it was before.
_PASSING = {
    "Activation",
    "AveragePooling2D",
    "BatchNormalization",
    "Cropping2D",
    "DepthwiseConv2D",
    "Dropout",
    "GlobalAveragePooling2D",
    "MaxPooling2D",
    "ReLU",
    "Rescaling",
    "Softmax",
    "ZeroPadding2D",
}
_MAKING = {"Conv2D", "Dense"}
_JOINING = {"Add", "Multiply"}
_KNOWN = _PASSING | _MAKING | _JOINING | {"Concatenate", "Flatten", "InputLayer", "Reshape"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """What a layer does with channels, by the class of each.

    Attributes:
        name: of the layer.
        takes: classes of the channels of its input, in order.
        makes: likewise of its output.
        weight: multiply-accumulates for each pair of a channel taken and one made; for a depthwise
            convolution, for each channel made; 0 for a layer without a kernel.
        depthwise: whether each channel is made of one alone.
        writes: whether it decides the number of its output channels.
    """

    name: str
    takes: Ids
    makes: Ids
    weight: int
    depthwise: bool
    writes: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coupling:
    """The classes of coupled channels of a network.

    Attributes:
        layers: by their place in the network.
        classes: how many classes there are; they are numbered from 0.
        fixed: of each class, whether it must stay.
    """

    layers: tuple[Layer, ...]
    classes: int
    fixed: npt.NDArray[np.bool_]

    def macs(self, kept: npt.NDArray[np.bool_]) -> int:
        """Multiply-accumulates of one inference with the classes that `kept` marks."""
        total = 0
        for layer in self.layers:
            taken = 1 if layer.depthwise else int(kept[layer.takes].sum())
            total += layer.weight * taken * int(kept[layer.makes].sum())
        return total


def couple(model: Any) -> Coupling:
    """The coupling of the channels of `model`, a functional tf_keras network of two-dimensional layers.

    Raises:
        UserError: naming the layers that no rule here covers.
    """
    unknown = sorted({type(layer).__name__ for layer in model.layers} - _KNOWN)
    if unknown:
        raise UserError(
            f"filter pruning has no rule for {', '.join(unknown)}: set Pruner.method to another "
            "method, or take another Trainer.architecture"
        )
    joined = _Classes()
    at: dict[int, Ids] = {}
    seen: list[tuple[Any, Ids, Ids]] = []
    for layer in model.layers:
        taken = [at[id(tensor)] for tensor in _inputs(layer)]
        made = _made(layer, taken, joined)
        at[id(layer.output)] = made
        seen.append((layer, taken[0] if taken else made, made))
    ends = np.concatenate([at[id(tensor)] for tensor in (*model.inputs, *model.outputs)])
    numbers, count = joined.numbered()
    fixed = np.zeros(count, bool)
    fixed[numbers[np.concatenate([ends, np.asarray(joined.fixed, np.int64)])]] = True
    layers = tuple(_layer(layer, numbers[taken], numbers[made]) for layer, taken, made in seen)
    return Coupling(layers=layers, classes=count, fixed=fixed)


class _Classes:
    """Channels by number, and which of them are one (union by the smaller number)."""

    def __init__(self) -> None:
        self._parent: list[int] = []
        self.fixed: list[int] = []

    def new(self, count: int) -> Ids:
        first = len(self._parent)
        self._parent += range(first, first + count)
        return np.arange(first, first + count)

    def join(self, one: Ids, other: Ids) -> None:
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            low, high = sorted((self._root(a), self._root(b)))
            self._parent[high] = low

    def numbered(self) -> tuple[Ids, int]:
        """(class of each channel, how many classes there are)."""
        roots = [self._root(channel) for channel in range(len(self._parent))]
        found, numbers = np.unique(roots, return_inverse=True)
        return numbers, len(found)

    def _root(self, channel: int) -> int:
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel


def _inputs(layer: Any) -> list[Any]:
    if type(layer).__name__ == "InputLayer":
        return []
    if len(layer.inbound_nodes) != 1:
        raise UserError(f"filter pruning: layer {layer.name} is used more than once")
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _made(layer: Any, taken: list[Ids], joined: _Classes) -> Ids:
    """The channels of the output of `layer`, whose inputs have the channels `taken`."""
    kind = type(layer).__name__
    width = int(layer.output.shape[-1])
    if kind in _MAKING:
        if kind == "Conv2D" and layer.groups != 1:
            raise UserError(f"filter pruning has no rule for a grouped convolution ({layer.name})")
        return joined.new(width)
    if kind in _JOINING:
        for other in taken[1:]:
            joined.join(taken[0], other)
        return taken[0]
    if kind == "Concatenate":
        return np.concatenate(taken)
    if kind == "InputLayer" or (kind == "Reshape" and len(taken[0]) != width):
        # What was an axis becomes channels (the mel axis of TC-ResNet): none of it can be removed.
        made = joined.new(width)
        joined.fixed += [*made.tolist(), *(taken[0].tolist() if taken else [])]
        return made
    if len(taken[0]) != width:
        raise UserError(f"filter pruning: {layer.name} mixes positions with channels")
    return taken[0]


def _layer(layer: Any, takes: Ids, makes: Ids) -> Layer:
    kind = type(layer).__name__
    depthwise = kind == "DepthwiseConv2D"
    kernel = layer.depthwise_kernel if depthwise else getattr(layer, "kernel", None)
    weight = 0
    if kernel is not None:
        window = kernel.shape[:2] if len(kernel.shape) == 4 else ()
        weight = math.prod(window) * math.prod(layer.output.shape[1:-1])
    return Layer(
        name=layer.name,
        takes=takes,
        makes=makes,
        weight=weight,
        depthwise=depthwise,
        writes=kind in _MAKING,
    )

"""The same network without some of its channels or heads: smaller kernels, not zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from components.pruner.channels import Coupling

Weights = list[npt.NDArray[Any]]


def without_channels(model: Any, coupling: Coupling, kept: npt.NDArray[np.bool_]) -> Any:
    """A network of the layers of `model`, with the channels alone whose class `kept` marks."""
    changes: dict[str, dict[str, int]] = {}
    weights: dict[str, Weights] = {}
    for layer, part in zip(model.layers, coupling.layers, strict=True):
        taken, made = np.flatnonzero(kept[part.takes]), np.flatnonzero(kept[part.makes])
        if part.writes:
            size = "filters" if type(layer).__name__ == "Conv2D" else "units"
            changes[layer.name] = {size: len(made)}
        weights[layer.name] = _sliced(layer, taken, made)
    return _rebuilt(model, changes, weights)


def without_heads(model: Any, kept: Mapping[str, npt.NDArray[np.int64]]) -> Any:
    """A network of the layers of `model`; its attention layers have the heads alone that `kept` names."""
    changes: dict[str, dict[str, int]] = {}
    weights: dict[str, Weights] = {}
    for layer in model.layers:
        weights[layer.name] = layer.get_weights()
        if layer.name in kept:
            heads = kept[layer.name]
            changes[layer.name] = {"num_heads": len(heads)}
            weights[layer.name] = [
                np.take(value, heads, _head_axis(variable))
                if _head_axis(variable) is not None
                else value
                for variable, value in zip(layer.weights, layer.get_weights(), strict=True)
            ]
    return _rebuilt(model, changes, weights)


def _head_axis(variable: Any) -> int | None:
    """The axis of heads of a weight of MultiHeadAttention.

    Query, key and value: kernel (width, heads, size), bias (heads, size); output: kernel (heads, size,
    width), bias (width,).
    """
    output = "/attention_output/" in variable.name
    if output:
        return 0 if len(variable.shape) == 3 else None
    return len(variable.shape) - 2


def _sliced(layer: Any, taken: npt.NDArray[np.int64], made: npt.NDArray[np.int64]) -> Weights:
    kind = type(layer).__name__
    sliced = []
    for variable, value in zip(layer.weights, layer.get_weights(), strict=True):
        if kind in ("Conv2D", "Dense") and variable is layer.kernel:
            value = np.take(np.take(value, taken, -2), made, -1)
        elif kind == "DepthwiseConv2D" and variable is layer.depthwise_kernel:
            value = np.take(value, made, -2)
        else:
            value = np.take(value, made, -1)
        sliced.append(value)
    return sliced


def _rebuilt(
    model: Any, changes: Mapping[str, Mapping[str, int]], weights: Mapping[str, Weights]
) -> Any:
    configuration = model.get_config()
    for layer in configuration["layers"]:
        layer["config"].update(changes.get(layer["name"], {}))
    smaller = keras.Model.from_config(configuration)
    for layer in smaller.layers:
        layer.set_weights(weights[layer.name])
    return smaller

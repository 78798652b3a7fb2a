"""An exit as a full-integer .tflite file: the mean over time, a dense layer and a softmax.

On the grids of TFLite's int8 specification, weights per tensor
(https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from components.converter.unpacked import Unpacked
from components.early_exit.linear import Float32, Linear
from components.targets.schema import schema

_TIME = 1
_CODES = 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Grid:
    """``real = (code - zero_point) * scale``."""

    scale: float
    zero_point: int

    @classmethod
    def of_values(cls, values: Float32) -> _Grid:
        """The finest that holds `values` and 0."""
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        scale = (high - low) / _CODES or 1.0
        return cls(scale=scale, zero_point=round(-128 - low / scale))

    @classmethod
    def of_weights(cls, weights: Float32) -> _Grid:
        """The finest around 0 that holds `weights`."""
        return cls(scale=float(np.abs(weights).max()) / 127 or 1.0, zero_point=0)


_PROBABILITIES = _Grid(scale=1.0 / 256.0, zero_point=-128)


def exit_model(rest: bytes, linear: Linear, pooled: Float32) -> bytes:
    """The exit, on the input of `rest`; deterministic.

    Args:
        rest: .tflite file of one input, of shape (1, time, ...).
        linear: what decides, by the mean over time, flattened.
        pooled: such means, shape (rows, values): they set the ranges.
    """
    unpacked, types = Unpacked(rest), schema().TensorType
    (passed,) = (int(index) for index in unpacked.graph.inputs)
    inner, labels = [1, *unpacked.shape(passed)[_TIME + 1 :]], len(linear.bias)
    means, of_weights = _Grid.of_values(pooled), _Grid.of_weights(linear.weights)
    of_bias = _Grid(scale=means.scale * of_weights.scale, zero_point=0)
    logits_grid = _Grid.of_values(linear.logits(pooled))

    def tensor(type_: int, shape: list[int], grid: _Grid, name: str | None = None) -> int:
        return unpacked.tensor(
            type_, shape, scale=grid.scale, zero_point=grid.zero_point, name=name
        )

    def constant(type_: int, values: Float32, grid: _Grid, codes: npt.DTypeLike) -> int:
        index = tensor(type_, list(values.shape), grid)
        content = np.rint(values / np.float64(grid.scale)).astype(codes)
        unpacked.graph.tensors[index].buffer = unpacked.buffer(content)
        return index

    mean = tensor(types.INT8, inner, means)
    flat = tensor(types.INT8, [1, math.prod(inner)], means)
    logits = tensor(types.INT8, [1, labels], logits_grid)
    result = tensor(types.INT8, [1, labels], _PROBABILITIES, name="probabilities")
    dense = [
        flat,
        constant(types.INT8, linear.weights, of_weights, np.int8),
        constant(types.INT32, linear.bias, of_bias, "<i4"),
    ]
    reduce, softmax = schema().ReducerOptionsT(), schema().SoftmaxOptionsT()
    reduce.keepDims, softmax.beta = False, 1.0
    reshape = schema().ReshapeOptionsT()
    reshape.newShape = np.array([1, math.prod(inner)], np.int32)
    unpacked.graph.operators = [
        unpacked.operator("MEAN", [passed, unpacked.integers([_TIME])], [mean], reduce),
        unpacked.operator(
            "RESHAPE", [mean, unpacked.integers([1, math.prod(inner)])], [flat], reshape
        ),
        unpacked.operator("FULLY_CONNECTED", dense, [logits], schema().FullyConnectedOptionsT()),
        unpacked.operator("SOFTMAX", [logits], [result], softmax),
    ]
    unpacked.graph.outputs = np.array([result], np.int32)
    unpacked.drop_unused()
    return unpacked.packed()

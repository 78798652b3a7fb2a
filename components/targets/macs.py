"""Multiply-accumulates of one operator, from the shapes of its tensors alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Shape = tuple[int, ...]


def multiply_accumulates(
    name: str, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], adjoint_x: bool
) -> int:
    """Multiply-accumulates of an operator; 0 for the kinds that have none.

    Counted are CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED and BATCH_MATMUL, every
    output as if no padding were skipped, as Vela and the papers count.

    Args:
        name: the TFLite operator.
        inputs: shapes of its inputs; None for an optional one that is left out.
        outputs: shapes of its outputs.
        adjoint_x: BATCH_MATMUL's ``adj_x``: its left operand is transposed.

    Raises:
        ValueError: if the operator lacks a tensor or a dimension that it must have.
    """
    count = _COUNTERS.get(name)
    if count is None:
        return 0
    return count([*inputs, None, None, None], [*outputs, None], adjoint_x)


def _convolution(inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], _: bool) -> int:
    _out_channels, height, width, in_channels = _shape(inputs[1], 4)
    return math.prod(_shape(outputs[0], 4)) * height * width * in_channels


def _depthwise(inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], _: bool) -> int:
    _one, height, width, _channels = _shape(inputs[1], 4)
    return math.prod(_shape(outputs[0], 4)) * height * width


def _transposed(inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], _: bool) -> int:
    out_channels, height, width, _in_channels = _shape(inputs[1], 4)
    return math.prod(_shape(inputs[2], 4)) * height * width * out_channels


def _dense(inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], _: bool) -> int:
    _units, depth = _shape(inputs[1], 2)
    return math.prod(_shape(outputs[0], None)) * depth


def _product(inputs: Sequence[Shape | None], outputs: Sequence[Shape | None], adj: bool) -> int:
    left = _shape(inputs[0], None)
    if len(left) < 2:
        raise ValueError(f"a matrix of rank {len(left)}")
    return math.prod(_shape(outputs[0], None)) * left[-2 if adj else -1]


def _shape(shape: Shape | None, rank: int | None) -> Shape:
    if shape is None:
        raise ValueError("a tensor is missing")
    if rank is not None and len(shape) != rank:
        raise ValueError(f"a tensor of rank {len(shape)} where rank {rank} belongs")
    return shape


_COUNTERS: dict[str, Callable[[Sequence[Shape | None], Sequence[Shape | None], bool], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _product,
}

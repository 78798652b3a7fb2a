"""A full-integer network cut in two where a single tensor passes.

The two parts hold the operators, weights and quantisation of the whole as they are: one after the other
they give, bit for bit, what it gives.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.base import UserError
from components.converter.unpacked import Unpacked
from components.targets.flatbuffer import parse_graph
from components.targets.graph import Graph

PASSED = "passed"
"""Name of the tensor between the two."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """The two parts.

    Attributes:
        trunk: .tflite file from the network's input to the tensor that passes.
        rest: .tflite file from there to its output.
    """

    trunk: bytes
    rest: bytes


def cut(model: bytes, spend: float) -> Cut:
    """Cuts `model` at the last place before which at most a share of `spend` of its work lies.

    What passes there must have a time axis: an exit pools over it.

    Raises:
        UserError: if there is no such place; the message says what share the first one takes.
    """
    places = _places(parse_graph(model))
    if not places:
        raise UserError(
            f"EarlyExit.spend={spend:g}: the network has no place for an exit, for nowhere does one int8 "
            "tensor with a time axis pass alone: set it to 0, or take another architecture"
        )
    fitting = [place for place in places if place.share <= spend]
    if not fitting:
        raise UserError(
            f"EarlyExit.spend={spend:g}: the network has no place for an exit behind so little of its "
            f"work; the first is behind {places[0].share:.1%}: set it higher, or take another architecture"
        )
    place = fitting[-1]
    return Cut(trunk=_trunk(model, place), rest=_rest(model, place))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a network can be cut.

    Attributes:
        operators: how many lie before it.
        tensor: the one that passes.
        share: of the multiply-accumulates, what lies before it.
    """

    operators: int
    tensor: int
    share: float


def _places(graph: Graph) -> list[_Place]:
    """All places at which one int8 tensor with a time axis passes, and nothing else, in order."""
    found, spent = [], 0
    for number, operator in enumerate(graph.operators[:-1], start=1):
        spent += operator.macs
        made = {index for before in graph.operators[:number] for index in before.outputs}
        taken = {index for behind in graph.operators[number:] for index in behind.inputs}
        passing = (made | set(graph.inputs)) & (taken | set(graph.outputs))
        if len(passing) != 1 or passing & set(graph.inputs):
            continue
        (index,) = passing
        tensor = graph.tensors[index]
        if tensor.dtype == "int8" and len(tensor.shape) >= 3 and tensor.shape[1] > 1:
            found.append(_Place(operators=number, tensor=index, share=spent / max(graph.macs, 1)))
    return found


def _trunk(model: bytes, place: _Place) -> bytes:
    unpacked = Unpacked(model)
    unpacked.graph.operators = unpacked.graph.operators[: place.operators]
    unpacked.graph.outputs = _passed(unpacked, place)
    unpacked.drop_unused()
    return unpacked.packed()


def _rest(model: bytes, place: _Place) -> bytes:
    unpacked = Unpacked(model)
    unpacked.graph.operators = unpacked.graph.operators[place.operators :]
    unpacked.graph.inputs = _passed(unpacked, place)
    unpacked.drop_unused()
    return unpacked.packed()


def _passed(unpacked: Unpacked, place: _Place) -> npt.NDArray[np.int32]:
    unpacked.graph.tensors[place.tensor].name = PASSED
    return np.array([place.tensor], np.int32)

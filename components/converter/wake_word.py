"""A streaming model with its state inside and one word's probability out, for ESPHome's micro wake word.

The input is (1, frames, channels) on the grid of the micro front end, whose codes are handed on as they are.
State tensors become variables that a graph of their own sets to their zero points, once. ESPHome's list of
operators has no softmax, so the probability is that of the word against the strongest other label: the
logistic function of the difference of their logits. That is the softmax's value where one competitor
dominates, and above it where several do. The result is uint8, scale 1/256.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from components.base import UserError
from components.converter.streaming import StreamingForm
from components.converter.unpacked import Unpacked
from components.targets.schema import schema

# How the micro front end's features become codes: 26.0 is the top of their range.
_FEATURE_SCALE, _FEATURE_ZERO_POINT = 26.0 / 255.0, -128
_PROBABILITY_SCALE = 1.0 / 256.0
# Logits further apart than this give a probability of 0 or 1 in steps of 1/256.
_WIDEST_DIFFERENCE = 5.5


def wake_word_model(form: StreamingForm, label: int) -> bytes:
    """The .tflite file that gives the probability of output `label` of `form`; deterministic.

    Raises:
        UserError: if the model does not end with a fully connected layer and a softmax.
    """
    surgery = _Surgery(Unpacked(form.model))
    surgery.embed_state(form.state)
    surgery.take_features()
    surgery.give_one_word(label)
    return surgery.finish()


class _Surgery:
    """Rewrites one streaming model in place."""

    def __init__(self, unpacked: Unpacked) -> None:
        self._unpacked = unpacked
        self._graph = unpacked.graph
        self._first: list[Any] = []
        self._operators: list[Any] = list(self._graph.operators)

    def finish(self) -> bytes:
        self._graph.operators = [*self._first, *self._operators]
        return self._unpacked.packed()

    def embed_state(self, state: tuple[tuple[str, str], ...]) -> None:
        """Makes variables of the state tensors, and the graph that begins them."""
        unpacked, tensors = self._unpacked, self._graph.tensors
        entries, exits = (
            {tensors[int(i)].name.decode(): int(i) for i in ends}
            for ends in (self._graph.inputs, self._graph.outputs)
        )
        beginning = schema().SubGraphT()
        beginning.tensors, beginning.operators = [], []
        beginning.inputs = beginning.outputs = np.zeros(0, np.int32)
        once = schema().CallOnceOptionsT()
        once.initSubgraphIndex = 1
        self._first.append(unpacked.operator("CALL_ONCE", [], [], once))
        for before, after in state:
            entry, exit_ = entries[before], exits[after]
            options = schema().VarHandleOptionsT()
            options.sharedName = before
            handle = unpacked.tensor(schema().TensorType.RESOURCE, [])
            self._first.append(unpacked.operator("VAR_HANDLE", [], [handle], options))
            read = unpacked.operator(
                "READ_VARIABLE", [handle], [entry], schema().ReadVariableOptionsT()
            )
            self._first.append(read)
            assign = unpacked.operator(
                "ASSIGN_VARIABLE", [handle, exit_], [], schema().AssignVariableOptionsT()
            )
            self._operators.insert(self._maker(exit_) + 1, assign)
            self._begin(beginning, entry, options)
        self._unpacked.model.subgraphs.append(beginning)
        self._graph.inputs = self._graph.inputs[:1].copy()
        self._graph.outputs = self._graph.outputs[:1].copy()

    def _begin(self, beginning: Any, entry: int, options: Any) -> None:
        """Has the beginning set the variable of `options` to the zero point of the tensor `entry`."""
        unpacked = self._unpacked
        handle, content = schema().TensorT(), schema().TensorT()
        handle.type, handle.shape = schema().TensorType.RESOURCE, np.zeros(0, np.int32)
        like = self._graph.tensors[entry]
        content.type, content.shape, content.quantization = like.type, like.shape, like.quantization
        zero = int(like.quantization.zeroPoint[0])
        content.buffer = unpacked.buffer(np.full(unpacked.shape(entry), zero, np.int8))
        place = len(beginning.tensors)
        beginning.tensors += [handle, content]
        beginning.operators += [
            unpacked.operator("VAR_HANDLE", [], [place], options),
            unpacked.operator(
                "ASSIGN_VARIABLE", [place, place + 1], [], schema().AssignVariableOptionsT()
            ),
        ]

    def take_features(self) -> None:
        """Puts an input of the micro front end's features before the model's, byte for byte."""
        unpacked = self._unpacked
        (codes,) = (int(i) for i in self._graph.inputs)
        _, frames, channels, _ = unpacked.shape(codes)
        features = unpacked.tensor(
            schema().TensorType.INT8, [1, frames, channels], scale=_FEATURE_SCALE,
            zero_point=_FEATURE_ZERO_POINT, name="features",
        )  # fmt: skip
        self._first.append(self._reshape(features, codes))
        self._graph.inputs = np.array([features], np.int32)

    def give_one_word(self, label: int) -> None:
        """Puts the word's probability in the place of the softmax."""
        unpacked, types = self._unpacked, schema().TensorType
        softmax = self._maker(int(self._graph.outputs[0]))
        if unpacked.name(self._operators[softmax]) != "SOFTMAX":
            raise UserError("the model does not end with a softmax: it has no form for ESPHome")
        logits = int(self._operators[softmax].inputs[0])
        _, labels = unpacked.shape(logits)
        grid = self._graph.tensors[logits].quantization
        scale, zero = float(grid.scale[0]), int(grid.zeroPoint[0])
        word, others = unpacked.like(logits, [1, 1]), unpacked.like(logits, [1, 1, labels - 1, 1])
        strongest, flat = unpacked.like(logits, [1, 1, 1, 1]), unpacked.like(logits, [1, 1])
        # -1 times a code q is -1 - q on the mirrored grid, so nothing is rounded.
        mirrored = unpacked.tensor(types.INT8, [1, 1], scale=scale, zero_point=-1 - zero)
        minus = unpacked.tensor(types.INT8, [1], scale=1.0, zero_point=0)
        self._graph.tensors[minus].buffer = unpacked.buffer(np.array([-1], np.int8))
        # Exact in steps of the logits, unless these are so fine that the end of the codes would be reached.
        coarse = 1 if 127 * scale >= _WIDEST_DIFFERENCE else 2
        difference = unpacked.tensor(types.INT8, [1, 1], scale=coarse * scale, zero_point=0)
        signed = unpacked.tensor(types.INT8, [1, 1], scale=_PROBABILITY_SCALE, zero_point=-128)
        result = unpacked.tensor(
            types.UINT8, [1, 1], scale=_PROBABILITY_SCALE, zero_point=0, name="probability"
        )
        pool = schema().Pool2DOptionsT()
        pool.padding, pool.strideH, pool.strideW = schema().Padding.VALID, 1, 1
        pool.filterHeight, pool.filterWidth = 1, labels - 1
        self._operators[softmax:] = [
            unpacked.slice(logits, word, [0, label], [1, label + 1]),
            *self._without(logits, label, labels, others),
            unpacked.operator("MAX_POOL_2D", [others], [strongest], pool),
            self._reshape(strongest, flat),
            unpacked.operator("MUL", [flat, minus], [mirrored], schema().MulOptionsT()),
            unpacked.operator("ADD", [word, mirrored], [difference], schema().AddOptionsT()),
            unpacked.operator("LOGISTIC", [difference], [signed]),
            unpacked.operator("QUANTIZE", [signed], [result], schema().QuantizeOptionsT()),
        ]
        self._graph.outputs = np.array([result], np.int32)

    def _without(self, logits: int, label: int, labels: int, others: int) -> list[Any]:
        """The operators that gather all logits but one."""
        unpacked = self._unpacked
        made, parts = [], []
        for begin, end in ((0, label), (label + 1, labels)):
            if begin < end:
                parts.append(unpacked.like(logits, [1, end - begin]))
                made.append(unpacked.slice(logits, parts[-1], [0, begin], [1, end]))
        if len(parts) == 2:
            parts = [unpacked.like(logits, [1, labels - 1]), *parts]
            made.append(unpacked.join(parts[1:], parts[0], 1))
        return [*made, self._reshape(parts[0], others)]

    def _reshape(self, source: int, result: int) -> Any:
        shape = self._unpacked.shape(result)
        options = schema().ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        return self._unpacked.operator(
            "RESHAPE", [source, self._unpacked.integers(shape)], [result], options
        )

    def _maker(self, tensor: int) -> int:
        """The place of the operator that makes `tensor`."""
        return next(i for i, o in enumerate(self._operators) if tensor in o.outputs)

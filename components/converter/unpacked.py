"""A .tflite file taken apart, to be changed and packed again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from components.converter.strip import strip
from components.targets.schema import operator_names, schema

# The first versions of these operators that take int8; the others are taken in their first.
_VERSIONS = {"CONCATENATION": 2, "STRIDED_SLICE": 2, "MUL": 2, "ADD": 2, "MAX_POOL_2D": 2}
_VERSIONS |= {"LOGISTIC": 2, "QUANTIZE": 2, "MEAN": 2, "FULLY_CONNECTED": 4, "SOFTMAX": 2}


class Unpacked:
    """One model, taken apart into the schema's own objects.

    Attributes:
        model: the schema's ``ModelT``.
        graph: its main graph.
    """

    def __init__(self, model: bytes) -> None:
        self.model = schema().ModelT.InitFromPackedBuf(model, 0)
        self.graph = self.model.subgraphs[0]
        self._size = len(model)

    def packed(self) -> bytes:
        """The file, without the bytes that serve no runtime; deterministic."""
        builder = flatbuffers.Builder(self._size)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return strip(bytes(builder.Output()))

    def drop_unused(self) -> None:
        """Leaves out the main graph's tensors that no operator takes or makes, and codes of no operator."""
        graph = self.graph
        ends = [graph.inputs, graph.outputs]
        lists = [*ends, *(part for o in graph.operators for part in (o.inputs, o.outputs))]
        kept = sorted({int(index) for indices in lists for index in indices if index >= 0})
        place = {index: number for number, index in enumerate(kept)} | {-1: -1}

        def moved(indices: Sequence[int]) -> npt.NDArray[np.int32]:
            return np.array([place[int(index)] for index in indices], np.int32)

        graph.tensors = [graph.tensors[index] for index in kept]
        graph.inputs, graph.outputs = (moved(end) for end in ends)
        codes = sorted({operator.opcodeIndex for operator in graph.operators})
        for operator in graph.operators:
            operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
            operator.opcodeIndex = codes.index(operator.opcodeIndex)
        self.model.operatorCodes = [self.model.operatorCodes[code] for code in codes]

    def shape(self, index: int) -> list[int]:
        """The shape of a tensor of the main graph."""
        return [int(n) for n in self.graph.tensors[index].shape]

    def set_shape(self, index: int, shape: Sequence[int]) -> None:
        """Gives a tensor of the main graph another shape."""
        self.graph.tensors[index].shape = np.array(shape, np.int32)
        self.graph.tensors[index].shapeSignature = None

    def name(self, operator: Any) -> str:
        """The name of an operator."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return operator_names()[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def values(self, index: int) -> list[int]:
        """The content of a constant int32 tensor."""
        data = self.model.buffers[self.graph.tensors[index].buffer].data
        return [int(v) for v in np.frombuffer(bytes(data), "<i4")]

    def like(self, source: int, shape: Sequence[int], name: str | None = None) -> int:
        """A new tensor of `shape` on the grid of `source`; its index."""
        tensor = copy.copy(self.graph.tensors[source])
        tensor.buffer, tensor.name = 0, name
        self.graph.tensors.append(tensor)
        self.set_shape(len(self.graph.tensors) - 1, shape)
        return len(self.graph.tensors) - 1

    def tensor(
        self, type_: int, shape: Sequence[int], *, scale: float | None = None, zero_point: int = 0,
        name: str | None = None,
    ) -> int:  # fmt: skip
        """A new tensor; its index."""
        tensor = schema().TensorT()
        tensor.type, tensor.name = type_, name
        tensor.buffer = 0
        if scale is not None:
            tensor.quantization = schema().QuantizationParametersT()
            tensor.quantization.scale = np.array([scale], np.float32)
            tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
        self.graph.tensors.append(tensor)
        self.set_shape(len(self.graph.tensors) - 1, shape)
        return len(self.graph.tensors) - 1

    def integers(self, values: Sequence[int]) -> int:
        """A new constant int32 vector; its index."""
        index = self.tensor(schema().TensorType.INT32, [len(values)])
        self.graph.tensors[index].buffer = self.buffer(np.array(values, "<i4"))
        return index

    def buffer(self, content: npt.NDArray[Any]) -> int:
        """A new buffer with this content; its index."""
        buffer = schema().BufferT()
        buffer.data = np.frombuffer(content.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None
    ) -> Any:
        """A new operator, in no graph yet; `options` is the schema's object for it."""
        made = schema().OperatorT()
        made.opcodeIndex = self._opcode(name)
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options is not None:
            made.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(schema().BuiltinOptions, kind)
        return made

    def slice(self, source: int, result: int, begin: Sequence[int], end: Sequence[int]) -> Any:
        """A STRIDED_SLICE that takes every element from `begin` to before `end`."""
        bounds = [self.integers(values) for values in (begin, end, [1] * len(begin))]
        options = schema().StridedSliceOptionsT()
        return self.operator("STRIDED_SLICE", [source, *bounds], [result], options)

    def join(self, parts: Sequence[int], result: int, axis: int) -> Any:
        """A CONCATENATION."""
        options = schema().ConcatenationOptionsT()
        options.axis = axis
        return self.operator("CONCATENATION", parts, [result], options)

    def _opcode(self, name: str) -> int:
        code, version = getattr(schema().BuiltinOperator, name), _VERSIONS.get(name, 1)
        for place, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == code and known.version >= version:
                return place
        added = schema().OperatorCodeT()
        added.builtinCode = code
        added.deprecatedBuiltinCode = min(
            code, 127
        )  # what readers of old saw; larger codes are new
        added.version = version
        self.model.operatorCodes.append(added)
        return len(self.model.operatorCodes) - 1

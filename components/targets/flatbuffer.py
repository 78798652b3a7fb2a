"""Reads a .tflite file into a `Graph`.

The file is treated as hostile. It is read by the generated accessors, in pure Python, so a wrong
offset raises instead of crashing; sizes and counts are bounded before anything is walked, and every
index is checked. Whatever is wrong ends in `GraphError`.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from components.targets.graph import Graph, GraphError, Operator, Quantisation, Tensor
from components.targets.macs import multiply_accumulates
from components.targets.schema import dtype_names, operator_names, schema

MAX_MODEL_BYTES = 64 * 1024 * 1024
_MAX_RANK = 8
_MAX_SUBGRAPHS = 256
_MAX_ITEMS = 20_000
_MAX_WALKED = 4_000_000
_BITS = {"int4": 4, "int2": 2, "uint4": 4, "int8": 8, "uint8": 8, "bool": 8}
_BITS |= {"int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16}
_BITS |= {"int32": 32, "uint32": 32, "float32": 32}
_BITS |= {"int64": 64, "uint64": 64, "float64": 64, "complex64": 64, "complex128": 128}


def read_graph(path: Path) -> Graph:
    """The model in a file.

    Raises:
        GraphError: naming the file, if it cannot be read or is not a usable model.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MODEL_BYTES + 1)
    except OSError as e:
        raise GraphError(f"{path}: cannot be read: {e.strerror}") from e
    try:
        return parse_graph(data)
    except GraphError as e:
        raise GraphError(f"{path}: {e}") from e


def parse_graph(data: bytes) -> Graph:
    """The model in `data`.

    Raises:
        GraphError: if it is too large, cut short, corrupt, or no .tflite model at all.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise GraphError(f"larger than {MAX_MODEL_BYTES} bytes")
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise GraphError("not a .tflite model (no TFL3 mark): convert it again")
    try:
        return _Reader(data).graph()
    except GraphError:
        raise
    except (struct.error, IndexError, KeyError, TypeError, AttributeError, OverflowError) as e:
        raise GraphError(f"corrupt: {e}: copy or convert it again") from e
    except (ValueError, UnicodeError, MemoryError) as e:
        raise GraphError(f"corrupt: {e}: copy or convert it again") from e


class _Reader:
    """Walks one flatbuffer and counts what it visits: shared tables cannot multiply the work."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._model = schema().Model.GetRootAs(data, 0)
        self._walked = 0

    def graph(self) -> Graph:
        model = self._model
        if model.Version() != 3:
            raise GraphError(f"schema version {model.Version()}: only version 3 is known")
        if not 1 <= model.SubgraphsLength() <= _MAX_SUBGRAPHS:
            raise GraphError(f"{model.SubgraphsLength()} subgraphs")
        length = model.OperatorCodesLength()
        codes = [self._code(model.OperatorCodes(i)) for i in self._range(length)]
        tensors: list[Tensor] = []
        operators: list[Operator] = []
        ends: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        for index in range(model.SubgraphsLength()):
            subgraph = model.Subgraphs(index)
            first = len(tensors)
            length = subgraph.TensorsLength()
            tensors += [self._tensor(subgraph.Tensors(i)) for i in self._range(length)]
            for i in self._range(subgraph.OperatorsLength()):
                operators.append(self._operator(subgraph.Operators(i), codes, tensors, first))
            if index == 0:
                ends = (
                    self._indices(subgraph.InputsAsNumpy(), tensors, first),
                    self._indices(subgraph.OutputsAsNumpy(), tensors, first),
                )
        return Graph(
            operators=tuple(operators),
            tensors=tuple(tensors),
            inputs=ends[0],
            outputs=ends[1],
            size_bytes=len(self._data),
        )

    def _range(self, length: int) -> range:
        if length > _MAX_ITEMS:
            raise GraphError(f"a list of {length} entries; at most {_MAX_ITEMS} are read")
        self._count(length)
        return range(length)

    def _count(self, length: int) -> None:
        self._walked += length
        if self._walked > _MAX_WALKED:
            raise GraphError("its tables are shared so often that they cannot be walked")

    def _vector(self, numbers: Any) -> tuple[Any, ...]:
        # The accessors give the integer 0 for an absent vector.
        if not isinstance(numbers, np.ndarray):
            return ()
        self._count(len(numbers))
        return tuple(numbers.tolist())

    def _code(self, code: Any) -> tuple[str, int]:
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = operator_names().get(builtin, f"BUILTIN_{builtin}")
        if name == "CUSTOM":
            name = f"CUSTOM:{_text(code.CustomCode())}"
        return name, code.Version()

    def _tensor(self, tensor: Any) -> Tensor:
        name = _text(tensor.Name())
        dtype = dtype_names().get(tensor.Type())
        if dtype is None:
            raise GraphError(f"tensor {name!r} has the unknown type {tensor.Type()}")
        shape = self._vector(tensor.ShapeAsNumpy())
        signature = self._vector(tensor.ShapeSignatureAsNumpy()) or shape
        if len(shape) > _MAX_RANK or len(signature) != len(shape) or min(shape, default=0) < 0:
            raise GraphError(f"tensor {name!r} has an impossible shape {shape}")
        return Tensor(
            name=name,
            dtype=dtype,
            shape=shape,
            signature=signature,
            quantisation=self._quantisation(tensor.Quantization()),
            constant=self._is_constant(tensor, name, dtype, shape),
        )

    def _quantisation(self, table: Any) -> Quantisation | None:
        if table is None or not table.ScaleLength():
            return None
        scales = self._vector(table.ScaleAsNumpy())
        zero_points = self._vector(table.ZeroPointAsNumpy())
        return Quantisation(scales=scales, zero_points=zero_points, axis=table.QuantizedDimension())

    def _is_constant(self, tensor: Any, name: str, dtype: str, shape: tuple[int, ...]) -> bool:
        if not 0 <= tensor.Buffer() < max(1, self._model.BuffersLength()):
            raise GraphError(f"tensor {name!r} points at no buffer")
        if self._model.BuffersLength() == 0:
            return False
        held = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        if not isinstance(held, np.ndarray) or held.size == 0:
            return False
        bits = _BITS.get(dtype)
        size = math.prod(shape)
        if bits is not None and tensor.Sparsity() is None and held.size != (size * bits + 7) // 8:
            raise GraphError(f"tensor {name!r} of shape {shape} holds {held.size} bytes of {dtype}")
        return True

    def _indices(self, numbers: Any, tensors: list[Tensor], first: int) -> tuple[int, ...]:
        found = self._vector(numbers)
        if any(not -1 <= i < len(tensors) - first for i in found):
            raise GraphError("an operator or a graph points at a tensor that is not there")
        return tuple(i if i < 0 else i + first for i in found)

    def _operator(
        self, operator: Any, codes: list[tuple[str, int]], tensors: list[Tensor], first: int
    ) -> Operator:
        if not 0 <= operator.OpcodeIndex() < len(codes):
            raise GraphError("an operator has no code")
        name, version = codes[operator.OpcodeIndex()]
        inputs = self._indices(operator.InputsAsNumpy(), tensors, first)
        outputs = self._indices(operator.OutputsAsNumpy(), tensors, first)
        macs = multiply_accumulates(
            name,
            [tensors[i].shape if i >= 0 else None for i in inputs],
            [tensors[i].shape if i >= 0 else None for i in outputs],
            name == "BATCH_MATMUL" and self._adjoint_x(operator),
        )
        return Operator(name=name, version=version, inputs=inputs, outputs=outputs, macs=macs)

    def _adjoint_x(self, operator: Any) -> bool:
        kind, table = operator.BuiltinOptionsType(), operator.BuiltinOptions()
        if table is None or kind != schema().BuiltinOptions.BatchMatMulOptions:
            return False
        options = schema().BatchMatMulOptions()
        options.Init(table.Bytes, table.Pos)
        return bool(options.AdjX())


def _text(value: bytes | None) -> str:
    return (value or b"")[:1000].decode("utf-8", "replace")

"""Checks the structure of a .tflite file before native code follows its offsets.

Every table, vector and string that an interpreter reaches must lie within the file, every index
must name something that exists, and every constant must have the bytes that its shape asks for. A
file that passes can still be refused by an interpreter, in an orderly way.

Source: FlatBuffers internals (flatbuffers.dev/internals), TensorFlow Lite schema version 3.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Mapping

import numpy as np

IDENTIFIER = b"TFL3"
_MAX_TENSOR_VALUES = 1 << 26
_TYPE_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1}
_RESHAPE_OPTIONS, _SQUEEZE_OPTIONS = 17, 30


class StructureError(ValueError):
    """The file is not a whole, consistent .tflite file."""


@dataclasses.dataclass(frozen=True)
class _Scalar:
    bytes: int


@dataclasses.dataclass(frozen=True)
class _Vector:
    """A vector of scalars of so many bytes each; a string is one of 1."""

    bytes: int


@dataclasses.dataclass(frozen=True)
class _Table:
    name: str


@dataclasses.dataclass(frozen=True)
class _Tables:
    name: str


_Field = _Scalar | _Vector | _Table | _Tables
_BYTE, _INT, _LONG = _Scalar(1), _Scalar(4), _Scalar(8)
_STRING, _INTS, _LONGS = _Vector(1), _Vector(4), _Vector(8)

# Field number to type, in the schema's order; a table without entries is checked as a whole only.
_SCHEMA: Mapping[str, Mapping[int, _Field]] = {
    "Model": {
        0: _INT,
        1: _Tables("OperatorCode"),
        2: _Tables("SubGraph"),
        3: _STRING,
        4: _Tables("Buffer"),
        5: _INTS,
        6: _Tables("Metadata"),
        7: _Tables("SignatureDef"),
    },
    "OperatorCode": {0: _BYTE, 1: _STRING, 2: _INT, 3: _INT},
    "SubGraph": {0: _Tables("Tensor"), 1: _INTS, 2: _INTS, 3: _Tables("Operator"), 4: _STRING},
    "Tensor": {
        0: _INTS,
        1: _BYTE,
        2: _INT,
        3: _STRING,
        4: _Table("Quantization"),
        5: _BYTE,
        6: _Table("Options"),
        7: _INTS,
    },
    "Quantization": {
        0: _INTS,
        1: _INTS,
        2: _INTS,
        3: _LONGS,
        4: _BYTE,
        5: _Table("Options"),
        6: _INT,
    },
    "Operator": {
        0: _INT,
        1: _INTS,
        2: _INTS,
        3: _BYTE,
        4: _Table("Options"),
        5: _STRING,
        6: _BYTE,
        7: _STRING,
        8: _INTS,
        9: _LONG,
        10: _LONG,
    },
    "Options": {},
    "ShapeOptions": {0: _INTS},
    "Buffer": {0: _STRING, 1: _LONG, 2: _LONG},
    "Metadata": {0: _STRING, 1: _INT},
    "SignatureDef": {0: _Tables("TensorMap"), 1: _Tables("TensorMap"), 2: _STRING, 4: _INT},
    "TensorMap": {0: _STRING, 1: _INT},
}


def check_structure(data: bytes) -> None:
    """Checks the bytes of a .tflite file.

    Raises:
        StructureError: saying what is wrong, in the schema's words.
    """
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise StructureError("it does not begin as a .tflite file does")
    file = File(data)
    model = file.root()
    file.check_table("Model", model)
    buffers = file.tables("Model", model, 4)
    codes = file.tables("Model", model, 1)
    graphs = file.tables("Model", model, 2)
    if not graphs:
        raise StructureError("it holds no graph")
    sizes = [file.buffer_size(b) for b in buffers]
    for graph in graphs:
        _check_graph(file, graph, sizes, len(codes))
    for signature in file.tables("Model", model, 7):
        _check_signature(file, signature, graphs)
    _check_indices(file.ints("Model", model, 5), len(buffers), "metadata buffer")


def with_first_output(data: bytes, tensor: int) -> bytes:
    """The same model with `tensor` of its main graph in the place of the first output.

    A vector may be shared with others in the file, so a new one is put at its end.

    Raises:
        StructureError: if `data` is not a whole .tflite file, or has no such tensor.
    """
    check_structure(data)
    file = File(data)
    graph = file.tables("Model", file.root(), 2)[0]
    outputs = file.ints("SubGraph", graph, 2)
    _check_indices([tensor], len(file.tables("SubGraph", graph, 0)), "tensor")
    field = file.place(graph, 2)
    if not outputs or not field:
        raise StructureError("it has no output")
    changed = bytearray(data) + bytes(-len(data) % 4)
    struct.pack_into("<I", changed, field, len(changed) - field)
    return bytes(changed) + struct.pack(f"<I{len(outputs)}i", len(outputs), tensor, *outputs[1:])


def _check_graph(file: File, graph: int, buffer_sizes: list[int], codes: int) -> None:
    tensors = file.tables("SubGraph", graph, 0)
    for tensor in tensors:
        _check_tensor(file, tensor, buffer_sizes)
    for field, what in ((1, "graph input"), (2, "graph output")):
        _check_indices(file.ints("SubGraph", graph, field), len(tensors), what)
    for operator in file.tables("SubGraph", graph, 3):
        if file.scalar("Operator", operator, 0) >= codes:
            raise StructureError("an operator has a code that is not listed")
        inputs = [i for i in file.ints("Operator", operator, 1) if i != -1]
        _check_indices(inputs, len(tensors), "operator input")
        _check_indices(file.ints("Operator", operator, 2), len(tensors), "operator output")
        intermediates = [i for i in file.ints("Operator", operator, 8) if i != -1]
        _check_indices(intermediates, len(tensors), "operator intermediate")
        options = file.target("Operator", operator, 4)
        if file.scalar("Operator", operator, 3) in (_RESHAPE_OPTIONS, _SQUEEZE_OPTIONS) and options:
            file.check_table("ShapeOptions", options)
        if file.scalar("Operator", operator, 9) or file.scalar("Operator", operator, 10):
            raise StructureError("an operator keeps its options outside the file")


def _check_tensor(file: File, tensor: int, buffer_sizes: list[int]) -> None:
    shape = file.ints("Tensor", tensor, 0)
    if any(n < 0 for n in shape) or math.prod(shape) > _MAX_TENSOR_VALUES:
        raise StructureError("a tensor's shape is out of bounds")
    buffer = file.scalar("Tensor", tensor, 2)
    if buffer >= len(buffer_sizes):
        raise StructureError("a tensor's buffer does not exist")
    kind = file.scalar("Tensor", tensor, 1)
    size = buffer_sizes[buffer]
    sparse = file.target("Tensor", tensor, 6)
    if size and not sparse and kind in _TYPE_BYTES and size != math.prod(shape) * _TYPE_BYTES[kind]:
        raise StructureError("a constant's bytes do not fit its shape")
    quantization = file.target("Tensor", tensor, 4)
    if not quantization:
        return
    scales = file.length("Quantization", quantization, 2)
    zero_points = file.length("Quantization", quantization, 3)
    axis = file.scalar("Quantization", quantization, 6)
    if zero_points not in (0, 1, scales):
        raise StructureError("a tensor's scales and zero points differ in number")
    if scales > 1 and (axis >= len(shape) or shape[axis] != scales):
        raise StructureError("a tensor's scales do not fit its shape")


def _check_signature(file: File, signature: int, graphs: list[int]) -> None:
    graph = file.scalar("SignatureDef", signature, 4)
    if graph >= len(graphs):
        raise StructureError("a signature's graph does not exist")
    tensors = len(file.tables("SubGraph", graphs[graph], 0))
    for field in (0, 1):
        for entry in file.tables("SignatureDef", signature, field):
            _check_indices([file.scalar("TensorMap", entry, 1)], tensors, "signature")


def _check_indices(indices: list[int], count: int, what: str) -> None:
    if any(not 0 <= index < count for index in indices):
        raise StructureError(f"a {what} does not exist")


class File:
    """Bounded reading of tables. Positions are bytes from the start of the file; 0 is absent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._checked: set[tuple[str, int]] = set()

    def root(self) -> int:
        return self._unsigned(0, 4)

    def check_table(self, kind: str, table: int) -> None:
        """Checks a table and all that it leads to, each once."""
        if (kind, table) in self._checked:
            return
        self._checked.add((kind, table))
        vtable = table - self._signed(table)
        vtable_bytes, table_bytes = self._unsigned(vtable, 2), self._unsigned(vtable + 2, 2)
        self._need(vtable, vtable_bytes)
        self._need(table, table_bytes)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise StructureError(f"a {kind} has no usable layout")
        for slot in range((vtable_bytes - 4) // 2):
            if self._unsigned(vtable + 4 + 2 * slot, 2) >= table_bytes:
                raise StructureError(f"a {kind} has a field outside itself")
        for field, type_ in _SCHEMA[kind].items():
            self._check_field(kind, table, field, type_)

    def _check_field(self, kind: str, table: int, field: int, type_: _Field) -> None:
        if isinstance(type_, _Scalar):
            place = self.place(table, field)
            if place:
                self._need(place, type_.bytes)
            return
        target = self.target(kind, table, field)
        if not target:
            return
        if isinstance(type_, _Table):
            self.check_table(type_.name, target)
        elif isinstance(type_, _Tables):
            for entry in self.tables(kind, table, field):
                self.check_table(type_.name, entry)
        else:
            self._need(target + 4, self._unsigned(target, 4) * type_.bytes)

    def scalar(self, kind: str, table: int, field: int) -> int:
        """An unsigned scalar field; 0, the schema's default, where it is absent."""
        type_ = _SCHEMA[kind][field]
        place = self.place(table, field)
        return self._unsigned(place, type_.bytes) if place and isinstance(type_, _Scalar) else 0

    def ints(self, kind: str, table: int, field: int) -> list[int]:
        """A vector of int32."""
        start = self.target(kind, table, field)
        if not start:
            return []
        values: list[int] = np.frombuffer(
            self._data, "<i4", self._unsigned(start, 4), start + 4
        ).tolist()
        return values

    def tables(self, kind: str, table: int, field: int) -> list[int]:
        """The positions of a vector's tables."""
        start = self.target(kind, table, field)
        if not start:
            return []
        count = self._unsigned(start, 4)
        self._need(start + 4, count * 4)
        offsets = np.frombuffer(self._data, "<u4", count, start + 4).tolist()
        return [start + 4 + 4 * n + offset for n, offset in enumerate(offsets)]

    def length(self, kind: str, table: int, field: int) -> int:
        """How many entries a vector has."""
        start = self.target(kind, table, field)
        return self._unsigned(start, 4) if start else 0

    def target(self, kind: str, table: int, field: int) -> int:
        """Where an offset field leads."""
        place = self.place(table, field)
        return place + self._unsigned(place, 4) if place else 0

    def buffer_size(self, buffer: int) -> int:
        """Bytes of a constant; those that stand after the tables (very large files) are refused."""
        if self.scalar("Buffer", buffer, 1) > 1:
            raise StructureError("a buffer lies outside the tables")
        return self.length("Buffer", buffer, 0)

    def place(self, table: int, field: int) -> int:
        """Where a field stands; 0 where it is absent."""
        vtable = table - self._signed(table)
        if 4 + 2 * field + 2 > self._unsigned(vtable, 2):
            return 0
        offset = self._unsigned(vtable + 4 + 2 * field, 2)
        return table + offset if offset else 0

    def _need(self, start: int, count: int) -> None:
        if start < 0 or start + count > len(self._data):
            raise StructureError("it ends before its contents do")

    def _unsigned(self, place: int, count: int) -> int:
        self._need(place, count)
        return int.from_bytes(self._data[place : place + count], "little")

    def _signed(self, place: int) -> int:
        self._need(place, 4)
        value: int = struct.unpack_from("<i", self._data, place)[0]
        return value

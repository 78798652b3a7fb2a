"""Leaves out of a .tflite file what costs bytes and changes nothing.

Dropped: names of inner tensors and graphs, the description, metadata, signatures, empty buffers,
shape signatures that say what the shape says, and that a tensor with a shape has a rank. Stored
once: equal buffers, equal vectors (the zero points and shapes that many tensors share), equal
options of operators and equal quantisation. Kept: names of inputs and outputs, which state
pairs refer to, and the quantisation of biases: without it LiteRT leaves its fast kernels, and its
outputs move by several steps. Operators, their order and all numbers are as they were, so every
runtime gives what it gave.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from components.targets.schema import schema

# schema.fbs: table Buffer { data:[ubyte] (force_align: 16); }
_BUFFER_ALIGNMENT = 16


def strip(model: bytes) -> bytes:
    """The same model in fewer bytes; deterministic. `model` comes from the TFLite converter."""
    unpacked = schema().ModelT.InitFromPackedBuf(model, 0)
    unpacked.description = None
    unpacked.metadata = None
    unpacked.metadataBuffer = None
    unpacked.signatureDefs = None
    tables = _Tables()
    for subgraph in unpacked.subgraphs:
        subgraph.name = None
        ends = {int(i) for i in (*subgraph.inputs, *subgraph.outputs)}
        for index, tensor in enumerate(subgraph.tensors):
            _strip_tensor(tensor, keep_name=index in ends)
            tensor.quantization = tables.shared(tensor.quantization)
        for operator in subgraph.operators:
            operator.builtinOptions = tables.shared(operator.builtinOptions)
    _share_buffers(unpacked)
    builder = _SharingBuilder(len(model))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _strip_tensor(tensor: Any, *, keep_name: bool) -> None:
    if not keep_name:
        tensor.name = None
    quantisation = tensor.quantization
    if quantisation is not None and (quantisation.scale is None or not len(quantisation.scale)):
        tensor.quantization = None
    if tensor.shapeSignature is not None and np.min(tensor.shapeSignature, initial=0) >= 0:
        tensor.shapeSignature = None
    if tensor.shape is not None and len(tensor.shape):
        tensor.hasRank = False


def _share_buffers(model: Any) -> None:
    # Buffer 0 is empty by convention: it is that of every tensor without constant data.
    kept = [schema().BufferT()]
    places: dict[bytes, int] = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            buffer = model.buffers[tensor.buffer]
            if buffer.data is None or not len(buffer.data):
                tensor.buffer = 0
                continue
            content = bytes(buffer.data)
            if content not in places:
                places[content] = len(kept)
                kept.append(buffer)
            tensor.buffer = places[content]
    model.buffers = kept


class _Tables:
    """Tables of which equal ones are written once."""

    def __init__(self) -> None:
        self._known: dict[object, _WrittenOnce] = {}

    def shared(self, table: Any) -> Any:
        """What stands for `table` and for all that are equal to it; None for none."""
        if table is None:
            return None
        return self._known.setdefault(_content(table), _WrittenOnce(table))


class _WrittenOnce:
    """A table that several others refer to."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._place: int | None = None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - as the generated classes have it
        if self._place is None:
            self._place = int(self._table.Pack(builder))
        return self._place


def _content(value: Any) -> object:
    """What makes two tables of the schema equal, and can be hashed."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return tuple(_content(item) for item in value)
    if hasattr(value, "__dict__"):
        return type(value).__name__, *((name, _content(of)) for name, of in vars(value).items())
    return value


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors once, and aligns buffer data as the schema demands."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802 - overrides
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype == np.uint8:
                self.Prep(_BUFFER_ALIGNMENT, x.size)
            self._written[key] = int(super().CreateNumpyVector(x))
        return self._written[key]

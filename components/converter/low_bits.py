"""Convolutions whose weights take 15 equal steps are stored in 4 bits a weight.

TFLite and TFLM have kernels for them: CONV_2D with int8 activations and int4 weights, version 7
(tensorflow/lite/tools/versioning/op_version.cc). TFLM unpacks the weights of one convolution into its
arena before it runs it: half the weights' bytes in flash, more memory, and no less time.
"""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from components.targets.schema import schema

_HIGHEST, _INT4_HIGHEST = 127, 7
_CONV_VERSION = 7
# How the training's 15 steps (components.quantizer.codes) look once they are rounded to int8.
_GRID = np.rint(np.arange(-_INT4_HIGHEST, _INT4_HIGHEST + 1) * _HIGHEST / _INT4_HIGHEST)


def with_int4_weights(model: bytes) -> bytes:
    """`model`, a .tflite file, with int4 weights wherever a convolution's lie on the 15 steps."""
    unpacked = schema().ModelT.InitFromPackedBuf(model, 0)
    for subgraph in unpacked.subgraphs:
        for operator in subgraph.operators:
            code = unpacked.operatorCodes[operator.opcodeIndex]
            if code.builtinCode != schema().BuiltinOperator.CONV_2D:
                continue
            tensor = subgraph.tensors[operator.inputs[1]]
            steps = _steps(tensor, unpacked.buffers[tensor.buffer])
            if steps is None:
                continue
            tensor.type = schema().TensorType.INT4
            _replace(unpacked, tensor, packed(steps))
            for place in operator.inputs[2:]:
                if place >= 0:  # -1 stands for none
                    _coarsen_bias(unpacked, subgraph.tensors[place])
            operator.opcodeIndex = _code_of_version(unpacked, operator.opcodeIndex)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _coarsen_bias(model: Any, bias: Any) -> None:
    """Puts a bias on the grid of its products: kernels add it to them as it stands."""
    codes = np.asarray(model.buffers[bias.buffer].data, np.uint8).view("<i4")
    coarse = np.rint(codes * (_INT4_HIGHEST / _HIGHEST)).astype("<i4")
    _replace(model, bias, coarse.view(np.uint8))


def _replace(model: Any, tensor: Any, data: npt.NDArray[np.uint8]) -> None:
    """Gives a tensor other data, of steps as much larger as int4 takes them."""
    tensor.quantization.scale = (
        np.asarray(tensor.quantization.scale) * (_HIGHEST / _INT4_HIGHEST)
    ).astype(np.float32)
    tensor.buffer = len(model.buffers)
    buffer = schema().BufferT()
    buffer.data = data
    model.buffers.append(buffer)


def packed(values: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Values of -8 to 7, two a byte, the first in the lower half; an odd last one is alone."""
    halves = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)).view(np.uint8) & 15
    return (halves[0::2] | (halves[1::2] << 4)).astype(np.uint8)


def _steps(tensor: Any, buffer: Any) -> npt.NDArray[np.int8] | None:
    """The weights as whole steps; None if they lie between some."""
    if tensor.type != schema().TensorType.INT8 or buffer.data is None:
        return None
    codes = np.asarray(buffer.data, np.uint8).view(np.int8)
    if not np.isin(codes, _GRID).all():
        return None
    return np.rint(codes * (_INT4_HIGHEST / _HIGHEST)).astype(np.int8)


def _code_of_version(model: Any, index: int) -> int:
    """The place of the operator code `index`, of the version that knows int4 weights."""
    wanted = copy.copy(model.operatorCodes[index])
    wanted.version = max(wanted.version, _CONV_VERSION)
    for place, code in enumerate(model.operatorCodes):
        if (code.builtinCode, code.version) == (wanted.builtinCode, wanted.version):
            return place
    model.operatorCodes.append(wanted)
    return len(model.operatorCodes) - 1

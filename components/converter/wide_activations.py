"""A model of int16 activations and int8 weights takes int8 codes and gives int8 scores, as devices have it.

TFLite's converter gives such a model int16 ends. In front of it, a CAST makes the codes int16 as they are,
with their own scale; behind it, a QUANTIZE makes the probabilities int8. The first operators' biases are in
units of their input's scale, and are put right.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from components.base import UserError
from components.targets.schema import operator_names, schema
from edge_agent.features.audio import INPUT_SCALE

# tensorflow/lite/tools/versioning/op_version.cc: CAST from int8; QUANTIZE to int8.
_CAST_VERSION, _QUANTIZE_VERSION = 3, 1
_WITH_BIAS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_MOVING = {"EXPAND_DIMS", "PAD", "RESHAPE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE"}
# What a softmax gives in int8: 0 to 1 in 256 steps.
_SCORE_SCALE, _SCORE_ZERO_POINT = 1.0 / 256.0, -128


def with_int8_ends(model: bytes) -> bytes:
    """`model`, a .tflite file with one int16 input and one int16 output, with int8 ends.

    Raises:
        UserError: if its output is no probabilities, whose int8 form is known.
    """
    unpacked = schema().ModelT.InitFromPackedBuf(model, 0)
    (subgraph,) = unpacked.subgraphs
    (entry,), (exit_,) = subgraph.inputs, subgraph.outputs
    kinds = [_kind(unpacked, operator) for operator in subgraph.operators]
    if kinds[-1] != "SOFTMAX":
        raise UserError("Converter.activations=int16 needs a network that ends in a softmax")
    _rescale(unpacked, int(entry), INPUT_SCALE)
    codes = _int8_twin(subgraph, entry, INPUT_SCALE, 0)
    scores = _int8_twin(subgraph, exit_, _SCORE_SCALE, _SCORE_ZERO_POINT)
    enum = schema().BuiltinOperator
    cast = _operator(unpacked, enum.CAST, _CAST_VERSION, codes, int(entry))
    cast.builtinOptionsType = schema().BuiltinOptions.CastOptions
    cast.builtinOptions = schema().CastOptionsT()
    cast.builtinOptions.inDataType = schema().TensorType.INT8
    cast.builtinOptions.outDataType = schema().TensorType.INT16
    quantize = _operator(unpacked, enum.QUANTIZE, _QUANTIZE_VERSION, int(exit_), scores)
    subgraph.operators = [cast, *subgraph.operators, quantize]
    subgraph.inputs, subgraph.outputs = np.array([codes]), np.array([scores])
    unpacked.signatureDefs = None
    builder = flatbuffers.Builder(len(model))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _kind(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return operator_names()[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _rescale(model: Any, place: int, scale: float) -> None:
    """Gives the tensor at `place`, and those that hold the same values moved, `scale`."""
    subgraph = model.subgraphs[0]
    quantisation = subgraph.tensors[place].quantization
    ratio = float(quantisation.scale[0]) / scale
    quantisation.scale = np.array([scale], np.float32)
    for operator in subgraph.operators:
        if place not in operator.inputs[:1]:
            continue
        kind = _kind(model, operator)
        if kind in _MOVING:
            _rescale(model, int(operator.outputs[0]), scale)
        elif kind in _WITH_BIAS and len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            _rescale_bias(model, subgraph.tensors[operator.inputs[2]], ratio)


def _rescale_bias(model: Any, bias: Any, ratio: float) -> None:
    held = model.buffers[bias.buffer]
    values = np.asarray(held.data, np.uint8).view(np.int64)
    buffer = schema().BufferT()
    buffer.data = np.rint(values * ratio).astype(np.int64).view(np.uint8)
    bias.buffer = len(model.buffers)
    model.buffers.append(buffer)
    scales = np.asarray(bias.quantization.scale, np.float64) / ratio
    bias.quantization.scale = scales.astype(np.float32)


def _int8_twin(subgraph: Any, place: int, scale: float, zero_point: int) -> int:
    """Adds an int8 tensor of the shape and name of that at `place`; gives its place."""
    wide = subgraph.tensors[place]
    twin = schema().TensorT()
    twin.shape, twin.type, twin.name = wide.shape, schema().TensorType.INT8, wide.name
    twin.buffer = 0
    twin.quantization = schema().QuantizationParametersT()
    twin.quantization.scale = np.array([scale], np.float32)
    twin.quantization.zeroPoint = np.array([zero_point], np.int64)
    wide.name = None
    subgraph.tensors.append(twin)
    return len(subgraph.tensors) - 1


def _operator(model: Any, builtin: int, version: int, taken: int, made: int) -> Any:
    code = schema().OperatorCodeT()
    # Codes above 127 would not fit the first field; both of these do.
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    model.operatorCodes.append(code)
    operator = schema().OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = np.array([taken]), np.array([made])
    return operator

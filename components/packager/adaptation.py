"""What a device needs to learn a new last layer: the layer itself, and embeddings that guard its labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.converter.unpacked import Unpacked
from components.infra_validator.reference import reference_outputs
from components.packager.proofs import npy
from components.training.data import FeatureSet
from edge_agent.bundle.manifest import Adaptation
from edge_agent.keyword.head import backbone

Float32 = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LastLayer:
    """A dense layer before the softmax that ends a model, in real numbers.

    Attributes:
        embedding: the tensor that it takes.
        weights: shape (labels, size).
        bias: shape (labels,).
    """

    embedding: int
    weights: Float32
    bias: Float32


def last_layer(model: bytes) -> LastLayer | None:
    """The last layer of `model`; None if the model does not end in a dense layer and a softmax."""
    unpacked = Unpacked(model)
    makers = {int(t): o for o in unpacked.graph.operators for t in o.outputs}
    softmax = makers.get(int(unpacked.graph.outputs[0]))
    if softmax is None or unpacked.name(softmax) != "SOFTMAX":
        return None
    dense = makers.get(int(softmax.inputs[0]))
    if dense is None or unpacked.name(dense) != "FULLY_CONNECTED":
        return None
    embedding, weights, bias = (*(int(i) for i in dense.inputs), -1)[:3]
    kernel = _real(unpacked, weights, "<i1")
    offset = _real(unpacked, bias, "<i4") if bias != -1 else np.zeros(1, np.float32)
    if kernel is None or offset is None:
        return None
    offset = np.broadcast_to(offset, len(kernel)).copy()
    return LastLayer(embedding=embedding, weights=kernel, bias=offset)


def adaptation(
    model: bytes, shipped: bytes, features: FeatureSet, clips: int
) -> tuple[Adaptation | None, dict[str, bytes]]:
    """What the manifest says of learning, and the files of it; nothing for a model that cannot.

    Args:
        model: the .tflite file that takes whole windows.
        shipped: the one that the device runs: the same, or its streaming form.
        features: `clips` rows of each label of its training split are replayed on the device.
        clips: of each label; 0 leaves learning out.
    """
    layer, on_device = last_layer(model), last_layer(shipped)
    if layer is None or on_device is None or not clips:
        return None, {}
    split = features.split("train")
    rows = np.concatenate(
        [_spread(np.flatnonzero(split.label == n), clips) for n in range(len(features.labels))]
    )
    codes = np.ascontiguousarray(features.centred(np.asarray(split.codes[rows])))
    made = Adaptation(
        embedding=on_device.embedding,
        weights="head/weights.npy",
        bias="head/bias.npy",
        replay="head/replay.npy",
    )
    return made, {
        made.weights: npy(layer.weights),
        made.bias: npy(layer.bias),
        made.replay: npy(reference_outputs(backbone(model, layer.embedding), codes)),
    }


def _spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """At most `count` of `rows`, from the first to the last of them."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]


def _real(unpacked: Unpacked, index: int, kind: str) -> Float32 | None:
    """The real numbers of a constant tensor; None if it is no constant, or of another type."""
    tensor = unpacked.graph.tensors[index]
    data, grid = unpacked.model.buffers[tensor.buffer].data, tensor.quantization
    shape = unpacked.shape(index)
    if data is None or grid is None or grid.scale is None:
        return None
    if len(data) != int(np.prod(shape)) * np.dtype(kind).itemsize:
        return None
    codes = np.frombuffer(bytes(data), kind).reshape(shape).astype(np.float64)
    zero = np.asarray(0 if grid.zeroPoint is None else grid.zeroPoint, np.float64)
    scale = np.asarray(grid.scale, np.float64)
    column = (-1, *[1] * (len(shape) - 1)) if scale.size > 1 else ()
    real = (codes - zero.reshape(column)) * scale.reshape(column)
    return real.astype(np.float32)

"""The last layer of a keyword model, apart from the rest of it: all that learning on the device changes.

The rest, the backbone, gives an embedding: the tensor that the last layer takes. It is the bundle's own
model, of which another tensor is read, so it costs and gives what it always did; the head is a product
and a softmax in numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from edge_agent.bundle.archive import BundleError, read_array
from edge_agent.bundle.manifest import Adaptation, KeywordManifest
from edge_agent.classification import ClassifierError
from edge_agent.features.audio import Float32
from edge_agent.flatbuffer import StructureError, with_first_output
from edge_agent.runtime import TensorDetails

_AGAIN = "build the bundle again"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """A last layer.

    Attributes:
        labels: what its outputs stand for: the bundle's, and behind them the words learned here.
        weights: float32, shape (labels, size of an embedding).
        bias: float32, shape (labels,).
        thresholds: of the words learned here; the bundle's policy has the others.
    """

    labels: tuple[str, ...]
    weights: Float32
    bias: Float32
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.labels)
        if self.weights.ndim != 2 or self.weights.shape[0] != rows or self.bias.shape != (rows,):
            raise ValueError(
                f"weights {self.weights.shape} and bias {self.bias.shape} do not fit {rows} labels"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("weights and bias must be finite")

    def probabilities(self, embeddings: Float32) -> Float32:
        """Probabilities (..., labels) of embeddings (..., size)."""
        logits = embeddings @ self.weights.T + self.bias
        found = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return found / np.add.reduce(found, axis=-1, keepdims=True)


def embedding_of(raw: npt.NDArray[np.int8], output: TensorDetails) -> Float32:
    """The embedding that `raw`, of any shape, means as the output of a backbone: float32 (size,)."""
    flat: Float32 = raw.reshape(-1).astype(np.float32)
    return (flat - np.float32(output.zero_point)) * np.float32(output.scale)


def backbone(model: bytes, embedding: int) -> bytes:
    """The .tflite file `model` with the tensor `embedding` for its first output.

    Raises:
        ClassifierError: if it is none, or has no such tensor.
    """
    try:
        return with_first_output(model, embedding)
    except StructureError as e:
        raise ClassifierError(f"the model has no usable embedding ({e}): {_AGAIN}") from e


def shipped_head(
    manifest: KeywordManifest, adaptation: Adaptation, files: Mapping[str, bytes]
) -> Head:
    """The head that the bundle came with.

    Raises:
        ClassifierError: if the bundle's arrays are none, or do not fit its labels.
    """
    try:
        weights, bias = (read_array(files, name) for name in (adaptation.weights, adaptation.bias))
        if weights.dtype != np.float32 or bias.dtype != np.float32:
            raise ValueError(f"weights are {weights.dtype} and bias {bias.dtype}, not float32")
        return Head(
            labels=manifest.labels,
            weights=weights.astype(np.float32),
            bias=bias.astype(np.float32),
        )
    except (BundleError, ValueError) as e:
        raise ClassifierError(f"{adaptation.weights}, {adaptation.bias}: {e}: {_AGAIN}") from e

"""What a bundle proves itself with: golden vectors, a check set, and the digest of its lineage."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_json
from components.base import Inputs
from components.infra_validator.reference import reference_outputs
from components.training.data import FeatureSet
from edge_agent.bundle.manifest import CheckSet, Golden


def golden_vectors(
    model: bytes,
    features: FeatureSet,
    infra: Mapping[str, Any],
    vectors: int,
    least: int,
    window: int | None = None,
) -> tuple[Golden, dict[str, bytes]]:
    """Validation inputs and what TFLite's reference kernels give for them, and the files of both.

    Args:
        model: the .tflite file that takes whole windows.
        features: where the inputs are from.
        infra: infra_validation.json, whose runtimes differ by so much from the reference.
        vectors: how many.
        least: tolerance at least, LSB.
        window: frames of an input that the device takes, if it takes only those that the model looks at.
    """
    split = features.split("val")
    rows = np.linspace(0, len(split.label) - 1, vectors).astype(int)
    codes = np.ascontiguousarray(features.centred(np.asarray(split.codes[rows])))
    golden = Golden(
        inputs="golden/inputs.npy",
        outputs="golden/outputs.npy",
        tolerance={
            name: max(least, 2 * infra["runtimes"][name]["max_lsb"])
            for name in ("tflite_runtime", "litert")
            if name in infra["runtimes"]
        },
    )
    return golden, {
        golden.inputs: npy(codes[:, :window]),
        golden.outputs: npy(reference_outputs(model, codes)),
    }


def check_set(
    model: bytes, features: FeatureSet, clips: int, window: int | None = None
) -> tuple[CheckSet, dict[str, bytes]]:
    """The first `clips` validation clips of each label, as recorded, and the files of them.

    `model` and `window` are as in `golden_vectors`.
    """
    split = features.split("val")
    recorded = split.view == 0
    rows = np.concatenate(
        [
            np.flatnonzero(recorded & (split.label == label))[:clips]
            for label in range(len(features.labels))
        ]
    )
    codes = np.ascontiguousarray(features.centred(np.asarray(split.codes[rows])))
    labels = split.label[rows]
    right = reference_outputs(model, codes).argmax(1) == labels
    made = CheckSet(
        codes="check/codes.npy", labels="check/labels.npy", accuracy=round(float(right.mean()), 6)
    )
    return made, {made.codes: npy(codes[:, :window]), made.labels: npy(labels)}


def lineage(inputs: Inputs, names: Sequence[str]) -> str:
    """One digest over the cache keys of what the device is given: the inputs `names`.

    The keys of evaluation and validation are not to be among them: they follow from the others, and the
    comparison with the last release must not make an equal bundle look like another.
    """
    keys = [read_json(inputs[name] / "lineage.json")["cache_key"] for name in names]
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def npy(array: npt.NDArray[Any]) -> bytes:
    """`array` as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()

"""The self-test of a bundle: its golden vectors, run on the runtime that is installed here.

A bundle for anomaly detection runs on numpy; its scores may differ by rounding.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from edge_agent.bundle.archive import Bundle
from edge_agent.bundle.manifest import AnomalyManifest, Golden, ImageManifest, KeywordManifest
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.early_exit import Joined
from edge_agent.pictures.classifier import PictureClassifier
from edge_agent.runtime import Model, Runtime
from edge_agent.watching.bundle import WatchError
from edge_agent.watching.golden import largest_difference

Array = npt.NDArray[np.generic]


class SelfTestError(Exception):
    """The model gives something else here than where it was built; the message says how much."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTestResult:
    """What a passed self-test found.

    Attributes:
        runtime: ``litert``, ``tflite_runtime`` or ``numpy``.
        version: its version.
        vectors: golden vectors run, or golden rows.
        inferences: what they took: of a model that streams, a vector takes many. One with its gate or early
            exit is one.
        max_lsb: the largest difference of an output from its golden value, in steps of the output;
            of a score, in its own unit.
        tolerance: the largest that the bundle allows on this runtime.
    """

    runtime: str
    version: str
    vectors: int
    inferences: int
    max_lsb: float
    tolerance: float


def run(
    bundle: Bundle, *, runtime: Runtime = "auto", threads: int = 1, delegate: str = ""
) -> SelfTestResult:
    """Runs the golden vectors of a bundle.

    Args:
        bundle: the bundle.
        runtime: which interpreter.
        threads: threads of one inference of a keyword model.
        delegate: a shared library that takes over what it can of a keyword model; empty for none.

    Raises:
        SelfTestError: if an output is further off than the bundle allows, the vectors do not fit,
            or this agent does not know the workload.
        BundleError: if the vectors are not arrays.
        ClassifierError, RuntimeModelError: if the model cannot be run here.
    """
    manifest = bundle.manifest
    if isinstance(manifest, AnomalyManifest):
        return _rows(bundle, manifest.golden.tolerance)
    if isinstance(manifest, KeywordManifest):
        words = KeywordClassifier(
            manifest, bundle.files, runtime=runtime, threads=threads, delegate=delegate
        )
        beside: list[tuple[str, Model | Joined]] = []
        if words.gate is not None:
            beside += [
                (stage.gate.golden_outputs, words.gate.model)
                for stage in manifest.stages
                if stage.gate is not None
            ]
        if words.early_exit is not None:
            beside += [(words.early_exit.stated.golden_outputs, words.early_exit.early)]
        return _vectors(bundle, manifest.golden, words.model, *beside)
    if isinstance(manifest, ImageManifest):
        pictures = PictureClassifier(manifest, bundle.files, runtime=runtime)
        return _vectors(bundle, manifest.golden, pictures.model)
    raise SelfTestError(f"the workload {manifest.workload} has no self-test: update the agent")


def _rows(bundle: Bundle, tolerance: float) -> SelfTestResult:
    try:
        rows, off = largest_difference(bundle)
    except WatchError as e:
        raise SelfTestError(str(e)) from e
    if not off <= tolerance:
        raise SelfTestError(
            f"numpy {np.__version__} differs from the golden scores by {off:.3g}, and "
            f"{tolerance:g} is allowed: keep the former bundle, and report this version and processor"
        )
    return SelfTestResult(
        runtime="numpy", version=np.__version__, vectors=rows, inferences=rows, max_lsb=off,
        tolerance=tolerance,
    )  # fmt: skip


def _vectors(
    bundle: Bundle, golden: Golden, model: Model | Joined, *beside: tuple[str, Model | Joined]
) -> SelfTestResult:
    """Runs the golden vectors on `model` and on those `beside` it, each behind the file of what it gives."""
    tolerance = golden.tolerance.get(model.runtime)
    if tolerance is None:
        raise SelfTestError(
            f"the bundle was not checked on {model.runtime}: install one of "
            f"{', '.join(sorted(golden.tolerance)) or 'no runtime'}, or build the bundle again"
        )
    inputs = bundle.array(golden.inputs)
    models = [(golden.outputs, model), *beside]
    max_lsb = max(_off(m, inputs, bundle.array(name), name) for name, m in models)
    if max_lsb > tolerance:
        raise SelfTestError(
            f"{model.runtime} {model.version} differs from the golden outputs by {max_lsb} steps, "
            f"and {tolerance} are allowed: keep the former bundle, and report this runtime and "
            "processor"
        )
    return SelfTestResult(
        runtime=model.runtime,
        version=model.version,
        vectors=len(inputs),
        inferences=len(inputs) * model.inferences,
        max_lsb=max_lsb,
        tolerance=tolerance,
    )


def _off(model: Model | Joined, inputs: Array, outputs: Array, name: str) -> int:
    """The largest difference of what `model` gives for `inputs` from `outputs`, in steps."""
    vectors = len(inputs) if inputs.ndim else 0
    *shape, depth = model.input.shape[1:]
    if (
        inputs.dtype != np.int8
        or outputs.dtype != np.int8
        or not vectors
        or inputs.shape != (vectors, *shape, *([] if depth == 1 else [depth]))
        or outputs.shape != (vectors, *model.output.shape[1:])
    ):
        raise SelfTestError(
            f"the golden inputs {inputs.shape} and {name} {outputs.shape} do not fit the model: "
            "build the bundle again"
        )
    found = np.stack([model.invoke(codes) for codes in inputs.astype(np.int8)])
    return int(np.abs(found.astype(int) - outputs.astype(int)).max())

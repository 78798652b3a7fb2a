"""What every model that gives a probability a label must be, and its probabilities."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

import edge_agent
from edge_agent.compatibility import CompatibilityError, check_minimum
from edge_agent.features.audio import INPUT_SCALE, INPUT_ZERO_POINT
from edge_agent.runtime import (
    MakeModel,
    Model,
    Runtime,
    RuntimeModelError,
    TensorDetails,
    open_model,
)

_AGAIN = "build the bundle again"


class ClassifierError(Exception):
    """The bundle's model cannot be used as a classifier here; the message says why."""


def open_encoder(
    data: bytes,
    name: str,
    *,
    shape: tuple[int, ...],
    minimum: Mapping[str, str],
    runtime: Runtime = "auto",
    threads: int = 1,
    delegate: str = "",
    make: MakeModel = Model,
) -> Model:
    """Loads a model that takes feature codes as they are, whatever it gives.

    Args:
        data: the .tflite file.
        name: what errors call it.
        shape: of its input by the manifest, with the leading 1.
        minimum: least versions of the agent and the runtimes.
        runtime: which interpreter.
        threads: threads of one inference.
        delegate: as `open_model` takes it.
        make: as `open_model` takes it.

    Raises:
        ClassifierError: if the model is something else, or this agent or runtime is too old.
        RuntimeModelError: if no runtime here takes it.
    """
    with _named(name):
        model = open_model(data, runtime=runtime, threads=threads, delegate=delegate, make=make)
    try:
        check_minimum(minimum, {"agent": edge_agent.__version__, model.runtime: model.version})
    except CompatibilityError as e:
        raise ClassifierError(str(e)) from e
    _check_input(model, name, shape)
    return model


def open_classifier(
    data: bytes,
    name: str,
    *,
    shape: tuple[int, ...],
    labels: int,
    minimum: Mapping[str, str],
    runtime: Runtime = "auto",
    threads: int = 1,
    delegate: str = "",
    make: MakeModel = Model,
) -> Model:
    """As `open_encoder`, of a model that gives `labels` probabilities."""
    model = open_encoder(
        data, name, shape=shape, minimum=minimum, runtime=runtime, threads=threads,
        delegate=delegate, make=make,
    )  # fmt: skip
    _check_output(model, name, labels)
    return model


def open_end(
    data: bytes,
    name: str,
    *,
    takes: TensorDetails,
    labels: int,
    runtime: Runtime = "auto",
    threads: int = 1,
    delegate: str = "",
) -> Model:
    """As `open_classifier`, of a model that takes what another one gives: a tensor like `takes`."""
    with _named(name):
        model = open_model(data, runtime=runtime, threads=threads, delegate=delegate)
    if model.input != takes:
        raise ClassifierError(f"{name}: takes {model.input}, and is given {takes}: {_AGAIN}")
    _check_output(model, name, labels)
    return model


def probabilities(model: Model, codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """What `model` gives for one input of codes, float32 (labels,)."""
    return dequantised(model.output, model.invoke(codes))


def dequantised(output: TensorDetails, raw: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """The probabilities that a model means by `raw` at its `output`, float32 (labels,)."""
    result: npt.NDArray[np.float32] = (
        raw.astype(np.float32) - np.float32(output.zero_point)
    ) * np.float32(output.scale)
    return result


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Says in errors which model it is."""
    try:
        yield
    except RuntimeModelError as e:
        raise RuntimeModelError(f"{name}: {e}") from e


def _check_input(model: Model, name: str, shape: tuple[int, ...]) -> None:
    if model.input.shape != shape:
        raise ClassifierError(
            f"{name}: takes {model.input.shape}, and the manifest says {shape}: {_AGAIN}"
        )
    scale, zero_point = model.input.scale, model.input.zero_point
    if not math.isclose(scale, INPUT_SCALE, rel_tol=1e-6) or zero_point != INPUT_ZERO_POINT:
        raise ClassifierError(
            f"{name}: its input has scale {scale:g} and zero point {zero_point}; the "
            f"features have {INPUT_SCALE:g} and {INPUT_ZERO_POINT}: {_AGAIN}"
        )


def _check_output(model: Model, name: str, labels: int) -> None:
    if model.output.shape != (1, labels):
        raise ClassifierError(
            f"{name}: gives {model.output.shape}, and there are {labels} labels: {_AGAIN}"
        )
    low, high = ((code - model.output.zero_point) * model.output.scale for code in (-128, 127))
    if not -1e-3 <= low <= high <= 1.001 or high - low < 0.5:
        raise ClassifierError(
            f"{name}: its output covers {low:g} to {high:g}, which are not probabilities: {_AGAIN}"
        )

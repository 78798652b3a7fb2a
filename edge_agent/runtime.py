"""The seam to the TFLite interpreters: LiteRT where it is installed, tflite-runtime otherwise.

The interpreters are imported only when a model is opened. The older of them does not verify what it
is given, and native code that follows a wrong offset takes the process with it, so the file's
structure is checked here first (`edge_agent.flatbuffer`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
import os
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.flatbuffer import StructureError, check_structure

Runtime = Literal["auto", "litert", "tflite_runtime"]
Int8 = npt.NDArray[np.int8]

_MODULES = {"litert": "ai_edge_litert", "tflite_runtime": "tflite_runtime"}
_PACKAGES = {"litert": "ai-edge-litert", "tflite_runtime": "tflite-runtime"}


class RuntimeModelError(Exception):
    """The model cannot be run here; the message says why and what to do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorDetails:
    """An int8 tensor of a model: ``real = (code - zero_point) * scale``."""

    shape: tuple[int, ...]
    scale: float
    zero_point: int


class Model:
    """A loaded full-integer model with one input and one output.

    Attributes:
        runtime: ``litert`` or ``tflite_runtime``.
        version: the runtime's version.
        input: the input tensor.
        output: the output tensor.
        inferences: how many one `invoke` takes.
    """

    inferences = 1

    def __init__(self, interpreter: Any, runtime: str, version: str) -> None:
        self.runtime = runtime
        self.version = version
        self._interpreter = interpreter
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise RuntimeModelError(
                f"the model has {len(inputs)} inputs and {len(outputs)} outputs, not one of each: "
                "this agent cannot feed it"
            )
        self._input_index: int = inputs[0]["index"]
        self._output_index: int = outputs[0]["index"]
        self.input = tensor_details(inputs[0])
        self.output = tensor_details(outputs[0])

    def invoke(self, codes: Int8) -> Int8:
        """Runs the model once.

        Args:
            codes: int8, as many as the input takes; a keyword model's are (frames, channels).

        Returns:
            The output without its leading 1, e.g. shape (labels,).

        Raises:
            RuntimeModelError: if the codes do not fit the input, or the interpreter fails.
        """
        if codes.dtype != np.int8 or codes.size != int(np.prod(self.input.shape)):
            raise RuntimeModelError(
                f"the model takes int8 of shape {self.input.shape}, not {codes.dtype} {codes.shape}"
            )
        try:
            self._interpreter.set_tensor(self._input_index, codes.reshape(self.input.shape))
            self._interpreter.invoke()
            output: Int8 = self._interpreter.get_tensor(self._output_index)
        except (ValueError, RuntimeError) as e:
            raise RuntimeModelError(f"{self.runtime} failed to run the model: {e}") from e
        row: Int8 = output[0]
        return row


MakeModel = Callable[[Any, str, str], Model]


def open_model(
    data: bytes,
    *,
    runtime: Runtime = "auto",
    threads: int = 1,
    delegate: str = "",
    make: MakeModel = Model,
) -> Model:
    """Loads a .tflite model.

    Args:
        data: the bytes of the file.
        runtime: which interpreter; ``auto`` takes LiteRT where it is installed.
        threads: threads of one inference.
        delegate: a shared library that takes over what it can of the model, such as an Edge TPU's; empty
            for none.
        make: makes the model of an interpreter that is ready, its name and its version.

    Raises:
        RuntimeModelError: if no such runtime is installed, the file is damaged, the runtime lacks
            an operator, or input or output are not int8; or there is no such delegate.
    """
    name, module, version = _load(runtime)
    delegates = [_loaded(module, delegate)] if delegate else None
    try:
        check_structure(data)
        with _quiet():
            interpreter = module.Interpreter(
                model_content=data, num_threads=threads, experimental_delegates=delegates
            )
            interpreter.allocate_tensors()
            return make(interpreter, name, version)
    except StructureError as e:
        raise RuntimeModelError(
            f"the model is not a whole .tflite file ({e}): fetch or build the bundle again"
        ) from e
    except (ValueError, RuntimeError, MemoryError) as e:
        raise RuntimeModelError(f"{name} {version} does not take the model: {e}") from e


def _loaded(module: types.ModuleType, delegate: str) -> Any:
    try:
        with _quiet():
            return module.load_delegate(delegate)
    except (ValueError, OSError) as e:
        raise RuntimeModelError(
            f"the delegate {delegate} cannot be loaded ({str(e).strip() or 'no reason given'}): see that "
            "its library is installed and its hardware plugged in"
        ) from e


def _load(runtime: Runtime) -> tuple[str, types.ModuleType, str]:
    names = _names(runtime)
    for name in names:
        try:
            module = importlib.import_module(f"{_MODULES[name]}.interpreter")
        except ImportError:
            continue
        package = importlib.import_module(_MODULES[name])
        return name, module, str(getattr(package, "__version__", "0"))
    wanted = " or ".join(_PACKAGES[name] for name in names)
    raise RuntimeModelError(f"{wanted} is not installed: pip install {_PACKAGES[names[-1]]}")


def installed(runtime: Runtime = "auto") -> dict[str, str]:
    """Name and version of the interpreter that `open_model` would take; empty where there is none.

    Nothing is imported for it.
    """
    for name in _names(runtime):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return {name: importlib.metadata.version(_PACKAGES[name])}
    return {}


def _names(runtime: Runtime) -> list[str]:
    return list(_MODULES) if runtime == "auto" else [runtime]


def tensor_details(tensor: Any) -> TensorDetails:
    """The details of an interpreter's tensor.

    Raises:
        RuntimeModelError: if it is not int8 with a leading 1.
    """
    shape = tuple(int(n) for n in tensor["shape"])
    if tensor["dtype"] is not np.int8 or not shape or shape[0] != 1:
        raise RuntimeModelError(
            f"tensor {tensor['name']!r} is {np.dtype(tensor['dtype']).name} {shape}, not int8 "
            "with a leading 1: only full-integer models of batch 1 run here"
        )
    scale, zero_point = tensor["quantization"]
    return TensorDetails(shape=shape, scale=float(scale), zero_point=int(zero_point))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps native code's notes about delegates off stderr; errors come as exceptions besides."""
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)

"""TFLite's reference kernels: the oracle that runtimes are held against, and the golden vectors."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Int8 = npt.NDArray[np.int8]


class NotInt8Error(ValueError):
    """The model does not take int8 windows and give int8 scores."""


def reference_outputs(model: bytes, codes: Int8) -> Int8:
    """What TFLite's reference kernels (``BUILTIN_REF``) give, run in the calling process.

    Args:
        model: a .tflite file that has been linted; a hostile one may crash the process.
        codes: int8, shape (n, frames, channels).

    Returns:
        int8, shape (n, labels).

    Raises:
        NotInt8Error: if the model's input or output is of another type.
        ValueError: if the windows have another shape than its input.
        RuntimeError: if TensorFlow is loaded in this process: its symbols clash with those of
            tflite-runtime, which then crashes.
    """
    return run_windows(reference_interpreter(model), codes)


def reference_interpreter(model: bytes) -> Any:
    """tflite-runtime's, or LiteRT's for operators of versions that only its reference kernels know.

    Those are convolutions with int4 weights: tflite-runtime has kernels for them, but not among these.

    Raises:
        RuntimeError: as `reference_outputs`.
    """
    if "tensorflow" in sys.modules:
        raise RuntimeError("tflite-runtime cannot run beside TensorFlow: use a process of its own")
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    options = {"model_content": model, "num_threads": 1}
    try:
        return Interpreter(**options, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    except ValueError as e:
        if "Didn't find op" not in str(e):
            raise
    from ai_edge_litert import interpreter as litert

    resolver = litert.OpResolverType.BUILTIN_REF
    return litert.Interpreter(**options, experimental_op_resolver_type=resolver)


def run_windows(interpreter: Any, codes: Int8) -> Int8:
    """Runs a TFLite interpreter over `codes`, one by one; shapes as in `reference_outputs`."""
    interpreter.allocate_tensors()
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    for end in (entry, exit_):
        if end["dtype"] is not np.int8:
            raise NotInt8Error(f"{end['name']!r} is {np.dtype(end['dtype']).name}, not int8")
    shape = tuple(entry["shape"])
    outputs = []
    for window in codes:
        interpreter.set_tensor(entry["index"], window.reshape(shape))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(exit_["index"]).reshape(-1))
    return np.stack(outputs)

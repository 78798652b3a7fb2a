"""Runs a model in one runtime: ``python -m components.infra_validator.probe``, in its own process.

    probe RUNTIME MODEL.tflite CODES.npy OUTPUTS.npy LATENCY_RUNS

Writes the outputs and prints one JSON line, ``{"version", "latency_ms"}``. TFLM prints its arena on
standard error, from C. Whatever the runtime does to this process, the caller only sees it end.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.infra_validator.load_probe import TFLM_ARENA_BYTES
from components.infra_validator.reference import (
    Int8,
    NotInt8Error,
    reference_outputs,
    run_windows,
)

_LONGEST_TIMING_S = 2.0
_WARM_UP_RUNS = 3


def main(arguments: list[str]) -> int:
    """Runs the model; 0, or 1 with the reason as the last line on standard error."""
    runtime, model, codes, outputs, runs = arguments
    windows = np.load(codes, allow_pickle=False)
    try:
        package, run = _RUNTIMES[runtime]
        given, latency = run(Path(model).read_bytes(), windows, int(runs))
    except (RuntimeError, ValueError, NotInt8Error) as e:
        print(f"{type(e).__name__}: {e}".replace("\n", " "), file=sys.stderr)
        return 1
    np.save(outputs, given, allow_pickle=False)
    print(json.dumps({"version": importlib.metadata.version(package), "latency_ms": latency}))
    return 0


def _reference(model: bytes, windows: Int8, _: int) -> tuple[Int8, float]:
    return reference_outputs(model, windows), 0.0


def _tflite_runtime(model: bytes, windows: Int8, runs: int) -> tuple[Int8, float]:
    from tflite_runtime.interpreter import Interpreter

    return _default_kernels(Interpreter(model_content=model, num_threads=1), windows, runs)


def _litert(model: bytes, windows: Int8, runs: int) -> tuple[Int8, float]:
    from ai_edge_litert.interpreter import Interpreter

    return _default_kernels(Interpreter(model_content=model, num_threads=1), windows, runs)


def _default_kernels(interpreter: Any, windows: Int8, runs: int) -> tuple[Int8, float]:
    return run_windows(interpreter, windows), _latency_ms(interpreter.invoke, runs)


def _tflm(model: bytes, windows: Int8, runs: int) -> tuple[Int8, float]:
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=TFLM_ARENA_BYTES)
    for end in (interpreter.get_input_details(0), interpreter.get_output_details(0)):
        if np.dtype(end["dtype"]) != np.int8:
            raise NotInt8Error(f"TFLM sees {np.dtype(end['dtype']).name}, not int8")
    shape = tuple(interpreter.get_input_details(0)["shape"])
    outputs = []
    for window in windows:
        interpreter.set_input(window.reshape(shape), 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).reshape(-1).copy())
    latency = _latency_ms(interpreter.invoke, runs)
    interpreter.print_allocations()
    return np.stack(outputs), latency


def _latency_ms(invoke: Callable[[], Any], runs: int) -> float:
    """Median of up to `runs` invocations within two seconds, after a warm-up; milliseconds."""
    for _ in range(_WARM_UP_RUNS):
        invoke()
    times: list[float] = []
    end = time.monotonic() + _LONGEST_TIMING_S
    while len(times) < runs and (not times or time.monotonic() < end):
        start = time.perf_counter()
        invoke()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000.0


_RUNTIMES: dict[str, tuple[str, Callable[[bytes, Int8, int], tuple[Int8, float]]]] = {
    "reference": ("tflite-runtime", _reference),
    "tflite_runtime": ("tflite-runtime", _tflite_runtime),
    "litert": ("ai-edge-litert", _litert),
    "tflm": ("tflite-micro", _tflm),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

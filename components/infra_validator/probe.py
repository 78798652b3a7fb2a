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

from components.converter.streaming import StreamingForm
from components.infra_validator.reference import (
    Int8,
    NotInt8Error,
    reference_interpreter,
    run_windows,
)
from components.infra_validator.tflm_interpreter import TflmInterpreter
from components.streamer.made import read_streaming
from edge_agent.runtime import RuntimeModelError
from edge_agent.streaming import StreamingModel

_LONGEST_TIMING_S = 2.0
_WARM_UP_RUNS = 3


def main(arguments: list[str]) -> int:
    """Runs the model; 0, or 1 with the reason as the last line on standard error."""
    runtime, model, codes, outputs, runs = arguments
    windows = np.load(codes, allow_pickle=False)
    try:
        package, opened = _RUNTIMES[runtime]
        interpreter = opened(Path(model).read_bytes())
        form = read_streaming(Path(model))
        given = (
            run_windows(interpreter, windows)
            if form is None
            else _run_steps(interpreter, windows, form)
        )
        latency = 0.0 if runtime == "reference" else _latency_ms(interpreter.invoke, int(runs))
        if isinstance(interpreter, TflmInterpreter):
            interpreter.print_allocations()
    except (RuntimeError, ValueError, NotInt8Error, RuntimeModelError) as e:
        print(f"{type(e).__name__}: {e}".replace("\n", " "), file=sys.stderr)
        return 1
    np.save(outputs, given, allow_pickle=False)
    print(json.dumps({"version": importlib.metadata.version(package), "latency_ms": latency}))
    return 0


def _run_steps(interpreter: Any, windows: Int8, form: StreamingForm) -> Int8:
    """As `run_windows`, step by step: begun anew for each window, of which it takes what it looks at."""
    interpreter.allocate_tensors()
    model = StreamingModel(interpreter, "", "", form.state, form.window)
    return np.stack([model.invoke(window) for window in windows[:, : form.window]])


def _tflite_runtime(model: bytes) -> Any:
    from tflite_runtime.interpreter import Interpreter

    return Interpreter(model_content=model, num_threads=1)


def _litert(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=model, num_threads=1)


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


_RUNTIMES: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "reference": ("tflite-runtime", reference_interpreter),
    "tflite_runtime": ("tflite-runtime", _tflite_runtime),
    "litert": ("ai-edge-litert", _litert),
    "tflm": ("tflite-micro", TflmInterpreter),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

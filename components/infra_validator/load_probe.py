"""Loads a model in one runtime: ``python -m components.infra_validator.load_probe RUNTIME MODEL``.

In its own process: what a runtime does to it, the caller only sees as its end. TFLM prints its arena
on standard error, from C.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

# More than any microcontroller has; TFLM's own default, ten times the model, can be too little.
TFLM_ARENA_BYTES = 64 * 1024 * 1024


def main(arguments: list[str]) -> int:
    """Loads the model; 0, or 1 with the reason as the last line on standard error."""
    runtime, model = arguments
    try:
        _LOADERS[runtime](Path(model).read_bytes())
    except (RuntimeError, ValueError, MemoryError) as e:
        print(f"{type(e).__name__}: {e}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


def _tflm(model: bytes) -> None:
    from tflite_micro import runtime

    runtime.Interpreter.from_bytes(model, arena_size=TFLM_ARENA_BYTES).print_allocations()


def _litert(model: bytes) -> None:
    from ai_edge_litert.interpreter import Interpreter

    Interpreter(model_content=model, num_threads=1).allocate_tensors()


def _tflite_runtime(model: bytes) -> None:
    from tflite_runtime.interpreter import Interpreter

    Interpreter(model_content=model, num_threads=1).allocate_tensors()


_LOADERS: dict[str, Callable[[bytes], None]] = {
    "tflm": _tflm,
    "litert": _litert,
    "tflite_runtime": _tflite_runtime,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

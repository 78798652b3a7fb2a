"""The arena that TensorFlow Lite for Microcontrollers needs for a model, and how much more to give it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from components.base import UserError
from components.infra_validator.child_process import Failed
from components.infra_validator.loading import load

# Reference kernels need no scratch memory and optimised ones do; alignment costs a few bytes too.
ARENA_MARGIN = 0.25
_ARENA_STEP = 16


def measured_arena(name: str, data: bytes) -> int:
    """Bytes that TFLM takes with its reference kernels on a 64-bit machine, in a process of its own.

    Args:
        name: what errors call the model.
        data: the .tflite file.

    Raises:
        UserError: if TFLM does not load it.
    """
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(data)
        loaded = load("tflm", file)
    if isinstance(loaded, Failed):
        raise UserError(f"{name}: TFLM does not load it: {loaded.reason}")
    if loaded.arena_bytes is None:
        raise UserError(f"{name}: TFLM does not tell its arena: install tflite-micro anew")
    return loaded.arena_bytes


def with_margin(measured: int) -> int:
    """What to reserve where `measured` bytes were taken."""
    wanted = int(measured * (1.0 + ARENA_MARGIN))
    return -(-wanted // _ARENA_STEP) * _ARENA_STEP

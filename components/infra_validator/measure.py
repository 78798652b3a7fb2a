"""Starts the probe of each runtime in a process of its own and brings back what it measured."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from pathlib import Path

import numpy as np

from components.infra_validator.child_process import Failed, run_child
from components.infra_validator.reference import Int8

_ARENA = re.compile(r"Arena allocation total (\d+) bytes")
_LIMIT_S = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What one runtime did with a model.

    Attributes:
        version: of the runtime's package.
        latency_ms: median of single invocations on one thread: of a step, where the model streams.
        outputs: int8, shape (windows, labels).
        arena_bytes: TFLM's arena with reference kernels; None for other runtimes.
    """

    version: str
    latency_ms: float
    outputs: Int8
    arena_bytes: int | None


def measure(runtime: str, model: Path, codes: Int8, latency_runs: int) -> Measured | Failed:
    """Runs `model` over `codes` in `runtime`; a crash there is a `Failed` here.

    Args:
        runtime: ``reference``, ``tflite_runtime``, ``litert`` or ``tflm``.
        model: the .tflite file; one that streams is begun anew for each window, and says beside it how it
            is fed (`components.streamer.made`).
        codes: int8, shape (windows, frames, channels).
        latency_runs: most invocations that are timed.
    """
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        given, taken = Path(folder) / "codes.npy", Path(folder) / "outputs.npy"
        np.save(given, codes, allow_pickle=False)
        arguments = [runtime, str(model.resolve()), str(given), str(taken), str(latency_runs)]
        done = run_child("components.infra_validator.probe", arguments, _LIMIT_S)
        if isinstance(done, Failed):
            return done
        answer = json.loads(done.stdout.splitlines()[-1])
        return Measured(
            version=answer["version"],
            latency_ms=answer["latency_ms"],
            outputs=np.load(taken, allow_pickle=False),
            arena_bytes=arena_bytes(done.stderr),
        )


def arena_bytes(said: str) -> int | None:
    """The arena that TFLM printed on standard error, if it did."""
    arena = _ARENA.search(said)
    return int(arena.group(1)) if arena else None

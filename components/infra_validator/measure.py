"""Starts the probe of each runtime in a process of its own and brings back what it measured."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from components.infra_validator.reference import Int8

_ARENA = re.compile(r"Arena allocation total (\d+) bytes")
_LIMIT_S = 600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What one runtime did with a model.

    Attributes:
        version: of the runtime's package.
        latency_ms: median of single invocations on one thread.
        outputs: int8, shape (windows, labels).
        arena_bytes: TFLM's arena with reference kernels; None for other runtimes.
    """

    version: str
    latency_ms: float
    outputs: Int8
    arena_bytes: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failed:
    """A runtime that did not run a model, and the reason."""

    reason: str


def measure(runtime: str, model: Path, codes: Int8, latency_runs: int) -> Measured | Failed:
    """Runs `model` over `codes` in `runtime`; a crash there is a `Failed` here.

    Args:
        runtime: ``reference``, ``tflite_runtime``, ``litert`` or ``tflm``.
        model: the .tflite file.
        codes: int8, shape (windows, frames, channels).
        latency_runs: most invocations that are timed.
    """
    with tempfile.TemporaryDirectory(prefix="probe-") as folder:
        given, taken = Path(folder) / "codes.npy", Path(folder) / "outputs.npy"
        np.save(given, codes, allow_pickle=False)
        command = [sys.executable, "-m", "components.infra_validator.probe", runtime]
        command += [str(model.resolve()), str(given), str(taken), str(latency_runs)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT_S,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Failed(reason=f"did not end within {_LIMIT_S} seconds")
        if done.returncode != 0:
            return Failed(reason=_reason(done.returncode, done.stderr))
        answer = json.loads(done.stdout.splitlines()[-1])
        arena = _ARENA.search(done.stderr)
        return Measured(
            version=answer["version"],
            latency_ms=answer["latency_ms"],
            outputs=np.load(taken, allow_pickle=False),
            arena_bytes=int(arena.group(1)) if arena else None,
        )


def _reason(code: int, stderr: str) -> str:
    said = " / ".join(line.strip() for line in stderr.splitlines()[-4:] if line.strip())
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}" + (f" after: {said}" if said else "")
    return said or f"ended with code {code}"

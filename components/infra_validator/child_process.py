"""Runs a module that calls native code in a process of its own, so that a crash there is an answer here."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failed:
    """A runtime that did not run a model, and the reason."""

    reason: str


def run_child(
    module: str, arguments: Sequence[str], limit_s: float
) -> subprocess.CompletedProcess[str] | Failed:
    """Runs ``python -m module arguments`` and brings back what it printed.

    Args:
        module: a module of this repository.
        arguments: paths among them must be absolute.
        limit_s: seconds after which it is ended.
    """
    with tempfile.TemporaryDirectory(prefix="child-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit_s,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Failed(reason=f"did not end within {limit_s:g} seconds")
    if done.returncode != 0:
        return Failed(reason=_reason(done.returncode, done.stderr))
    return done


def _reason(code: int, stderr: str) -> str:
    said = " / ".join(line.strip() for line in stderr.splitlines()[-4:] if line.strip())
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}" + (f" after: {said}" if said else "")
    return said or f"ended with code {code}"

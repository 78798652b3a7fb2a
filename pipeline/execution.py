"""Running one component's executor in a child process, and reading what it says."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from components.base import Component, Metrics, UserError

# One thread for NumPy's small matrix products: more only wait for each other.
_SURROUNDINGS = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
_LOG_TAIL = 15


class StepCrashed(Exception):
    """An executor ended without a result; the message holds the end of its log."""


class Watcher(Protocol):
    """Who is told how a step goes."""

    def step_progress(self, done: float, total: float, unit: str, note: str) -> None:
        """So much of the step is done."""
        ...

    def warning(self, message: str) -> None:
        """Something the user should know, that stops nothing."""
        ...


def execute(
    component: Component,
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    log: Path,
    watcher: Watcher,
) -> Metrics:
    """Runs `component`'s executor in a child process and gives its metrics.

    The child leads a process group of its own; whatever ends this call early (an interrupt, an
    exception) ends the whole group first.

    Raises:
        UserError: what the executor says the user can put right.
        StepCrashed: if it raised anything else, or its process died.
    """
    specification = {
        "executor": component.EXECUTOR,
        "parameters_class": _qualified(component.PARAMETERS),
        "parameters": dataclasses.asdict(component.parameters),
        "inputs": {name: str(path) for name, path in inputs.items()},
        "outputs": {name: str(path) for name, path in outputs.items()},
    }
    with (
        tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file,
        log.open("wb") as err,
    ):
        json.dump(specification, file)
        file.flush()
        child = subprocess.Popen(
            [sys.executable, "-m", "components.child", file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            encoding="utf-8",
            env=_environment(),
            start_new_session=True,
        )
        try:
            result = _listen(child, watcher)
            code = child.wait()
        finally:
            _end_group(child)
    if "metrics" in result:
        return dict(result["metrics"])
    if "error" in result:
        raise UserError(result["error"])
    raise StepCrashed(_crash_message(component.id, code, log))


def _listen(child: subprocess.Popen[str], watcher: Watcher) -> dict[str, Any]:
    result: dict[str, Any] = {}
    assert child.stdout is not None
    for line in child.stdout:
        message = json.loads(line)
        if "progress" in message:
            watcher.step_progress(**message["progress"])
        elif "warning" in message:
            watcher.warning(message["warning"])
        else:
            result = message
    return result


def _end_group(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()


def _environment() -> dict[str, str]:
    top = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (top, os.environ.get("PYTHONPATH", "")) if p)
    return {**_SURROUNDINGS, **os.environ, "PYTHONPATH": path}


def _qualified(type_: type[Any]) -> str:
    return f"{type_.__module__}:{type_.__qualname__}"


def _crash_message(name: str, code: int, log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        tail = "".join(collections.deque(file, _LOG_TAIL)).rstrip()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{name} {how}; the end of its log ({log}):\n{tail}"

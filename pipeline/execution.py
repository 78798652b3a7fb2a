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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from components.base import Component, Metrics, UserError

# One thread for NumPy's small matrix products: more only wait for each other.
_SURROUNDINGS = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
_LOG_TAIL = 15


class StepCrashed(Exception):
    """An executor ended without a result; the message holds the end of its log."""


class Watcher(Protocol):
    """Who is told how steps go; called from the thread of the step."""

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        """So much of step `id` is done."""
        ...

    def warning(self, message: str) -> None:
        """Something the user should know, that stops nothing."""
        ...


class Execution:
    """One component's executor, running in a child process of its own.

    The child leads a process group; `cancel` ends the whole group. Its temporary files lie in a folder
    that goes with it: Beam and TensorFlow leave some behind each time.

    Args:
        component: what to run.
        inputs: the artifact folders that it takes, by name.
        outputs: empty folders for what it makes, by name.
        log: file for everything that it prints.
        inherits: descriptors that the child gets too, and so holds while it lives.
    """

    def __init__(
        self,
        component: Component,
        inputs: Mapping[str, Path],
        outputs: Mapping[str, Path],
        log: Path,
        inherits: Sequence[int] = (),
    ) -> None:
        specification = {
            "executor": component.EXECUTOR,
            "parameters_class": _qualified(component.PARAMETERS),
            "parameters": dataclasses.asdict(component.parameters),
            "inputs": {name: str(path) for name, path in inputs.items()},
            "outputs": {name: str(path) for name, path in outputs.items()},
        }
        self._id = component.id
        self._log = log
        self._scratch = tempfile.TemporaryDirectory(prefix="step-", ignore_cleanup_errors=True)
        with log.open("wb") as err:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "components.child", json.dumps(specification)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                encoding="utf-8",
                env=_environment(self._scratch.name),
                start_new_session=True,
                pass_fds=inherits,
            )

    def result(self, watcher: Watcher) -> Metrics:
        """Waits for the executor's metrics, and ends its process group.

        Raises:
            UserError: what the executor says the user can put right.
            StepCrashed: if it raised anything else, or its process died.
        """
        try:
            result = self._listen(watcher)
            code = self._child.wait()
        finally:
            self.cancel()
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    stream.close()
            self._scratch.cleanup()
        if "metrics" in result:
            return dict(result["metrics"])
        if "error" in result:
            raise UserError(result["error"])
        raise StepCrashed(_crash_message(self._id, code, self._log))

    def cancel(self) -> None:
        """Ends the child and whatever it started; harmless if they have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def _listen(self, watcher: Watcher) -> dict[str, Any]:
        result: dict[str, Any] = {}
        assert self._child.stdout is not None
        for line in self._child.stdout:
            message = json.loads(line)
            if "progress" in message:
                watcher.step_progress(self._id, **message["progress"])
            elif "warning" in message:
                watcher.warning(message["warning"])
            else:
                result = message
        return result


def _environment(scratch: str) -> dict[str, str]:
    top = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (top, os.environ.get("PYTHONPATH", "")) if p)
    return {**_SURROUNDINGS, **os.environ, "PYTHONPATH": path, "TMPDIR": scratch}


def _qualified(type_: type[Any]) -> str:
    return f"{type_.__module__}:{type_.__qualname__}"


def _crash_message(name: str, code: int, log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        tail = "".join(collections.deque(file, _LOG_TAIL)).rstrip()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{name} {how}; the end of its log ({log}):\n{tail}"

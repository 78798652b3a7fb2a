"""Running one component's executor in a child process, and reading what it says."""

from __future__ import annotations

import collections
import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from components.base import Component, Metrics, UserError
from pipeline import step_process

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
        self._process = step_process.start(
            specification, component.PRELOADS, log, self._scratch.name, inherits
        )

    def result(self, watcher: Watcher) -> Metrics:
        """Waits for the executor's metrics, and ends its process group.

        Raises:
            UserError: what the executor says the user can put right.
            StepCrashed: if it raised anything else, or its process died.
        """
        try:
            result = self._listen(watcher)
            code = self._process.wait()
        finally:
            self._process.kill()
            self._process.close()
            self._scratch.cleanup()
        if "metrics" in result:
            return dict(result["metrics"])
        if "error" in result:
            raise UserError(result["error"])
        raise StepCrashed(_crash_message(self._id, code, self._log))

    def cancel(self) -> None:
        """Ends the child and whatever it started; harmless if they have ended."""
        self._process.kill()

    def _listen(self, watcher: Watcher) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for line in self._process.output:
            message = json.loads(line)
            if "progress" in message:
                watcher.step_progress(self._id, **message["progress"])
            elif "warning" in message:
                watcher.warning(message["warning"])
            else:
                result = message
        return result


def _qualified(type_: type[Any]) -> str:
    return f"{type_.__module__}:{type_.__qualname__}"


def _crash_message(name: str, code: int, log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as file:
        tail = "".join(collections.deque(file, _LOG_TAIL)).rstrip()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{name} {how}; the end of its log ({log}):\n{tail}"

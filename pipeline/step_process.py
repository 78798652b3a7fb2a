"""The processes in which executors run: begun anew, or forked from one that has imported much."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

# One thread for NumPy's small matrix products: more only wait for each other.
_SURROUNDINGS = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class StepProcess:
    """A process that runs one executor (`components.child`), and leads a group of processes.

    Its standard input stays open for as long as this object is: when the runner goes, so does it.

    Args:
        pid: its process id.
        wait: waits for its end, and gives its exit code, negative for a signal; may be called again.
        input: the other end of its standard input.
        output: the JSON lines that it prints.
    """

    def __init__(self, pid: int, wait: Callable[[], int], input: IO[Any], output: IO[str]) -> None:
        self.wait = wait
        self.output = output
        self._pid = pid
        self._input = input

    def kill(self) -> None:
        """Ends it and whatever it started; harmless if they have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Lets go of what it is spoken to through, once it has ended."""
        self._input.close()
        self.output.close()


def start(
    specification: Mapping[str, Any],
    preloads: Sequence[str],
    log: Path,
    temporary: str,
    inherits: Sequence[int],
) -> StepProcess:
    """Starts the process of a step.

    Args:
        specification: what it runs; see `components.child`.
        preloads: modules that it needs and that take seconds to import. The first step that names
            them starts a process that has them, of which it and later steps are forks.
        log: file for everything that it prints.
        temporary: folder for its temporary files.
        inherits: descriptors that it gets too, and so holds while it lives.
    """
    with log.open("wb") as errors:
        if preloads:
            # Where not even the imports succeed, the step's own process says why, in its log.
            with contextlib.suppress(_CannotForkError):
                return _warm(tuple(preloads)).fork(specification, errors, temporary, inherits)
        child = subprocess.Popen(
            [sys.executable, "-m", "components.child", json.dumps(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env={**_environment(), "TMPDIR": temporary},
            start_new_session=True,
            pass_fds=inherits,
        )
    assert child.stdin is not None
    assert child.stdout is not None
    return StepProcess(child.pid, child.wait, child.stdin, child.stdout)


class _CannotForkError(Exception):
    """The process that has imported much has ended."""


class _WarmProcess:
    """A process that has imported `modules` (`components.warm`); it ends with this one."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_at_a_time = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "components.warm", *modules],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )

    def end(self) -> None:
        """Ends it, and waits for that: what the steps used counts as what this process's children did."""
        self._orders.close()
        self._process.kill()
        self._process.wait()

    def fork(
        self,
        specification: Mapping[str, Any],
        errors: IO[bytes],
        temporary: str,
        inherits: Sequence[int],
    ) -> StepProcess:
        """Forks a step from it.

        Raises:
            _CannotForkError: if it has ended.
        """
        order = {"specification": specification, "environment": {"TMPDIR": temporary}}
        input, ours = os.pipe()
        ours_too, output = os.pipe()
        told, tells = os.pipe()
        theirs = [input, output, errors.fileno(), tells, *inherits]
        try:
            with self._one_at_a_time:
                socket.send_fds(self._orders, [json.dumps(order).encode()], theirs)
        except OSError as e:
            for descriptor in (ours, ours_too, told):
                os.close(descriptor)
            raise _CannotForkError from e
        finally:
            for descriptor in (input, output, tells):
                os.close(descriptor)
        ends = _Ends(os.fdopen(told, encoding="utf-8"))
        writes, reads = os.fdopen(ours, "wb", 0), os.fdopen(ours_too, encoding="utf-8")
        pid = ends.pid()
        if pid is None:
            writes.close()
            reads.close()
            raise _CannotForkError
        return StepProcess(pid, ends.code, writes, reads)


class _Ends:
    """What a process that forks steps tells of one of them: its process id, then its exit code."""

    def __init__(self, told: TextIO) -> None:
        self._told = told
        self._code: int | None = None
        self._one_at_a_time = threading.Lock()

    def pid(self) -> int | None:
        """The process id; None if there was no fork, or it ended before it was a process of its own."""
        number = self._number("process")
        if number is None:
            self._told.close()
        return number

    def code(self) -> int:
        """Its exit code, once it has ended; that of a kill, if who knew it has ended before."""
        with self._one_at_a_time:
            if self._code is None:
                with self._told:
                    code = self._number("ended")
                self._code = -signal.SIGKILL if code is None else code
            return self._code

    def _number(self, word: str) -> int | None:
        """What the next line says of `word`; None if it says something else."""
        told, _, number = self._told.readline().partition(" ")
        return int(number) if told == word else None


@functools.cache
def _warm(modules: tuple[str, ...]) -> _WarmProcess:
    process = _WarmProcess(modules)
    atexit.register(process.end)
    return process


def _environment() -> dict[str, str]:
    top = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (top, os.environ.get("PYTHONPATH", "")) if p)
    return {**_SURROUNDINGS, **os.environ, "PYTHONPATH": path}

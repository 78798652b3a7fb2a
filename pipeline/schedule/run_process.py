"""A run as a process of its own, that can be ended cleanly from another thread."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

_PACKAGE = __name__.partition(".")[0]  # whose command line imports this module, not the reverse
COMMAND: tuple[str, ...] = (sys.executable, "-m", _PACKAGE, "run")
INTERRUPTED = 130
PATIENCE = 30.0
"""Seconds that an interrupted run has for ending its steps and recording that."""


class Runs:
    """Starts runs, one at a time, until it is ended.

    `end` may be called from another thread, and when no run is under way.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended.is_set()

    def pause(self, seconds: float) -> bool:
        """Waits; false if `end` was called meanwhile or before."""
        return not self._ended.wait(seconds)

    def run(self, words: Sequence[str]) -> int:
        """Runs ``python -m pipeline run`` with `words` and gives its exit code, negative for a signal.

        It prints where this process prints, and leads a process group of its own, so that a Ctrl-C
        on the terminal reaches it through `end` alone.
        """
        with self._lock:
            if self.ended:
                return INTERRUPTED
            self._child = child = subprocess.Popen(
                [*COMMAND, *words], stdin=subprocess.DEVNULL, start_new_session=True
            )
        return child.wait()

    def end(self) -> None:
        """Ends the run under way as Ctrl-C would, and starts no other; waits until it is gone."""
        with self._lock:
            self._ended.set()
            child = self._child
        if child is None or child.poll() is not None:
            return
        _signal(child, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)

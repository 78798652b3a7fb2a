"""A process of the daemon, and the lines that it says on its standard output."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Sequence

from edge_agent.child_environment import child_environment

_PIECE_BYTES = 1 << 16
_LONGEST_LINE = 1 << 16


class Child:
    """A Python module in a process of its own; what it prints on stderr goes where ours does.

    Attributes:
        pid: of the process.
    """

    def __init__(
        self,
        words: Sequence[str],
        selector: selectors.BaseSelector,
        on_line: Callable[[bytes], None],
        *,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Starts it.

        Args:
            words: the module and its arguments.
            selector: told to wait for its lines; ``data()`` of its key reads them.
            on_line: takes each line; one that is too long comes in pieces.
            stdin: what it reads; `subprocess.DEVNULL`, or 0 for our own.

        Raises:
            OSError: if no process can be started.
        """
        environment = child_environment()
        for private in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environment.pop(private, None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words], stdin=stdin, stdout=subprocess.PIPE, env=environment
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self._pipe = self._process.stdout
        self._selector = selector
        self._on_line = on_line
        self._held = b""
        os.set_blocking(self._pipe.fileno(), False)
        selector.register(self._pipe, selectors.EVENT_READ, self.read)

    def read(self) -> bool:
        """Takes what it has said; gives whether there was anything."""
        if self._pipe.closed:
            return False
        try:
            data = os.read(self._pipe.fileno(), _PIECE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close()
            return False
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            self._on_line(line)
        if len(self._held) > _LONGEST_LINE:
            self._on_line(self._held)
            self._held = b""
        return True

    def poll(self) -> int | None:
        """None while it lives; else its exit code, once all that it said is taken."""
        code = self._process.poll()
        if code is None:
            return None
        while self.read():
            pass
        self._close()
        return code

    def terminate(self) -> None:
        """Tells it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()

    def _close(self) -> None:
        if not self._pipe.closed:
            self._selector.unregister(self._pipe)
            self._pipe.close()

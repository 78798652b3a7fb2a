"""Events as lines of JSON on standard output.

A thread writes them, so that a reader who has stopped reading stops nothing else; what the reader is
behind by is bounded, and what is dropped beyond that is counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from typing import Any

_MOST_WAITING = 1000


class JsonLines:
    """Writes events to the descriptor `descriptor`.

    Attributes:
        dropped: events that nobody took.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="json lines", daemon=True)
        self._thread.start()

    def emit(self, event: dict[str, Any]) -> None:
        """Takes an event."""
        try:
            self._waiting.put_nowait(json.dumps(event).encode() + b"\n")
        except queue.Full:
            self.dropped += 1

    def close(self, seconds: float) -> None:
        """Waits at most `seconds` until what was taken is written."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(seconds)

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            left = memoryview(line)
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self.dropped += 1  # nobody reads any more; the device goes on

"""A simulation's server as a process, on a simulated clock: ``python -m fleet.simulator.served ROOT``.

It begins at the first line of its standard input, when the simulation has it in hand and will wait for it
before the folder goes; and it ends when that input does, so it never outlives the simulation.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from fleet.server.clock import SimulatedClock
from fleet.server.serving import serve
from fleet.store.database import Database, default_url


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    if not sys.stdin.buffer.readline():
        sys.exit()
    threading.Thread(target=_end_with_input, daemon=True).start()
    folder = Path(sys.argv[1])
    serve(folder, Database(default_url(folder)), SimulatedClock(), "127.0.0.1", 0)

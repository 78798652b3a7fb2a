"""A simulation's server as a process, on a simulated clock: ``python -m fleet.simulator.served ROOT``."""

from __future__ import annotations

import sys
from pathlib import Path

from fleet.server.clock import SimulatedClock
from fleet.server.serving import serve
from fleet.store.database import Database, default_url

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(folder, Database(default_url(folder)), SimulatedClock(), "127.0.0.1", 0)

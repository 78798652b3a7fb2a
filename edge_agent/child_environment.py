"""The environment of a process of the agent that another one starts."""

from __future__ import annotations

import os
from pathlib import Path


def child_environment() -> dict[str, str]:
    """This process' environment, in which ``python -m edge_agent...`` is found and NumPy keeps to one thread.

    The products of the front end are too small for more threads, which only wait for each other.
    """
    top = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [top, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}

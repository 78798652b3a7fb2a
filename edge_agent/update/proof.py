"""Proving a bundle on this device, in a process of its own: golden vectors, latency and memory.

A bad model may crash native code, hang, or eat the memory; it must not take the updater with it. What a
workload needs is imported in that process alone (`examination`): an updater holds none of it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from edge_agent.child_environment import child_environment
from edge_agent.update.errors import RefusedError, StorageError

_SECONDS = 120.0


def prove(path: Path) -> None:
    """Proves the bundle at `path` in a process of its own.

    Raises:
        RefusedError: if it does not prove itself; the message says what it did.
        StorageError: if the process could not be started, or somebody else killed it.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent.update.examination", str(path)],
            capture_output=True, text=True, timeout=_SECONDS, check=False, env=child_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RefusedError(f"its self-test takes longer than {_SECONDS:.0f} s here") from None
    except OSError as e:
        raise StorageError(
            f"its self-test cannot be started ({e.strerror}): free some memory"
        ) from e
    if done.returncode == -signal.SIGKILL:
        raise StorageError(
            "its self-test was killed from outside: see the system's log for a lack of memory"
        )
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise RefusedError(f"its self-test crashed here ({name})")
    try:
        refused = json.loads(done.stdout)["refused"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise RefusedError(f"its self-test ended with {done.returncode} here: {last}") from None
    if refused is not None:
        raise RefusedError(str(refused))

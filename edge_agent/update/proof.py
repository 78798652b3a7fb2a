"""Proving a bundle on this device, in a process of its own: golden vectors, latency and memory.

A bad model may crash native code, hang, or eat the memory; it must not take the updater with it. The
child imports what a workload does, so what the bundle adds to its resident memory is what it adds there.

    python -m edge_agent.update.proof BUNDLE     prints {"refused": null or why}
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from edge_agent import selftest
from edge_agent.bundle import archive
from edge_agent.child_environment import child_environment
from edge_agent.classification import ClassifierError
from edge_agent.runtime import RuntimeModelError
from edge_agent.update.errors import RefusedError, StorageError

_SECONDS = 120.0
_RUNS = 3


def prove(path: Path) -> None:
    """Proves the bundle at `path` in a process of its own.

    Raises:
        RefusedError: if it does not prove itself; the message says what it did.
        StorageError: if the process could not be started, or somebody else killed it.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent.update.proof", str(path)],
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


def examine(path: Path) -> None:
    """Proves the bundle at `path` in this process; memory is not held against its budget.

    Raises:
        RefusedError: if it does not prove itself.
    """
    try:
        bundle = archive.read(path)
        vectors = selftest.run(bundle).vectors
        durations = []
        for _ in range(_RUNS):
            begun = time.perf_counter()
            selftest.run(bundle)
            durations.append(time.perf_counter() - begun)
    except (archive.BundleError, ClassifierError, RuntimeModelError, selftest.SelfTestError) as e:
        raise RefusedError(f"does not pass its self-test here: {e}") from e
    latency_ms = 1000 * min(durations) / vectors  # what loading takes is in it
    budget = bundle.manifest.budget.latency_ms
    if latency_ms > budget:
        raise RefusedError(
            f"one inference takes {latency_ms:.1f} ms here, and its budget is {budget:g} ms"
        )


def _check_memory(path: Path, before: int | None) -> None:
    """Holds what the bundle and its runtime added to `before` against the budget.

    What the interpreter and numpy take is no bundle's fault, and differs from system to system.
    """
    after = _peak_bytes()
    budget = archive.read(path).manifest.budget.memory_bytes
    if before is not None and after is not None and after - before > budget:
        raise RefusedError(
            f"takes {after - before} bytes of memory here, and its budget is {budget}"
        )


def _peak_bytes() -> int | None:
    """The most that this process ever held resident; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else None


def _main(path: Path) -> None:
    before = _peak_bytes()
    try:
        examine(path)
        _check_memory(path, before)
    except RefusedError as e:
        print(json.dumps({"refused": str(e)}))
    else:
        print(json.dumps({"refused": None}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

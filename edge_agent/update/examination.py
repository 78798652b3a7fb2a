"""The process in which a bundle is proven on this device; `proof` starts it and judges how it ends.

It imports what a workload does, so what the bundle adds to its resident memory is what it adds there.

    python -m edge_agent.update.examination BUNDLE     prints {"refused": null or why}
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from edge_agent import selftest
from edge_agent.bundle import archive
from edge_agent.classification import ClassifierError
from edge_agent.runtime import RuntimeModelError
from edge_agent.update.errors import RefusedError

_RUNS = 3


def examine(path: Path) -> None:
    """Proves the bundle at `path` in this process; memory is not held against its budget.

    Raises:
        RefusedError: if it does not prove itself.
    """
    try:
        bundle = archive.read(path)
        inferences = selftest.run(bundle).inferences
        durations = []
        for _ in range(_RUNS):
            begun = time.perf_counter()
            selftest.run(bundle)
            durations.append(time.perf_counter() - begun)
    except (archive.BundleError, ClassifierError, RuntimeModelError, selftest.SelfTestError) as e:
        raise RefusedError(f"does not pass its self-test here: {e}") from e
    latency_ms = 1000 * min(durations) / inferences  # what loading takes is in it
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

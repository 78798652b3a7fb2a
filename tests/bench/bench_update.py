"""What a whole update costs: a 60 kB bundle over loopback, from the question to the commit.

Each update is a process of its own, which starts another to prove the bundle, twice. Time and memory are
held against the limits that the project sets itself: one second, and 40 MB above an idle process of the
agent: one that says what runs, and ends. Memory is the most that a process ever held resident, pages of
libraries that others hold too among it. The prover holds what any workload does, for a moment, and is told
apart.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_agent.bundle import archive
from edge_agent.bundle.manifest import encode_manifest
from tests.bench.table import TOP, Figure, publish
from tests.fixtures.bundles import bundle_parts
from tests.fixtures.field import ENVIRONMENT, NAME, Field, served

_BUNDLE_BYTES = 60_000
_UPDATES = 6
_LIMIT_S, _LIMIT_MB = 1.0, 40.0

# Runs a module and tells the peak of this process; what wait4 gives counts the process that forked it.
_PROGRAM = """
import re, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as e:
    code = e.code
else:
    code = 0
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(code)
"""


@dataclasses.dataclass(frozen=True)
class _Cost:
    wall_s: float
    cpu_s: float
    peak_mb: float


def main() -> None:
    """Measures updates, and a process that only says what runs, and publishes the best of each."""
    with tempfile.TemporaryDirectory() as folder:
        field = Field(Path(folder))
        updates = []
        with served(field):
            for number in range(_UPDATES):
                _release(field, number)
                updates.append(_run("edge_agent", "update-once", "--config", str(field.config())))
        idle = [_run("edge_agent", "status", "--root", str(field.device)) for _ in range(3)]
        bundle = str(field.device / "current" / "release.bundle")
        prover = _run("edge_agent.update.examination", bundle).peak_mb
    wall, cpu = min(c.wall_s for c in updates), min(c.cpu_s for c in updates)
    idle_mb = min(c.peak_mb for c in idle)
    above = max(c.peak_mb for c in updates) - idle_mb
    publish(
        "update",
        [
            Figure(figure="update, wall time; limit", ours=wall, peer=_LIMIT_S, unit="s"),
            Figure(
                figure="update, CPU of all its processes; limit", ours=cpu, peer=_LIMIT_S, unit="s"
            ),
            Figure(
                figure="updater's peak above idle; limit", ours=above, peer=_LIMIT_MB, unit="MB"
            ),
            Figure(figure="prover's peak; idle process", ours=prover, peer=idle_mb, unit="MB"),
        ],
    )


def _release(field: Field, number: int) -> None:
    manifest, files = bundle_parts(seed=number)
    size = len(archive.pack(encode_manifest(manifest), files))
    filling = np.random.default_rng(number).bytes(_BUNDLE_BYTES - size)
    files["model_card.md"] += filling
    manifest = dataclasses.replace(manifest, files=archive.describe_files(files))
    path = field.folder / f"{number}.bundle"
    path.write_bytes(archive.pack(encode_manifest(manifest), files))
    field.repository.publish(NAME, path, None, NAME)
    (field.folder / "root.json").write_bytes(field.repository.trust_roots()[-1])


def _run(module: str, *words: str) -> _Cost:
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, module, *words],
        cwd=TOP, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    told = process.stderr.read().split()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{module} {' '.join(words)}: {told}")
    return _Cost(wall, usage.ru_utime + usage.ru_stime, int(told[-1]) / 1024)


if __name__ == "__main__":
    main()

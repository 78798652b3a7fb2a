"""Runs the two programs as a user does, and reads what they print."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.table import TOP


def run_recipe(root: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Runs keyword_spotting at `root`; its report, with the wall time as ``wall_s``."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pipeline", "run", "keyword_spotting"]
    subprocess.run([*command, "--root", str(root), *arguments], cwd=TOP, check=True)
    report: dict[str, Any] = json.loads((root / "report.json").read_text(encoding="utf-8"))
    report["wall_s"] = time.monotonic() - started
    report["peak_bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return report


def evaluate(bundle: Path, data: Path, list_file: Path) -> dict[str, Any]:
    """``python -m edge_agent evaluate`` on a list of clips."""
    command = [sys.executable, "-m", "edge_agent", "evaluate", "--json", "--bundle", str(bundle)]
    done = subprocess.run(
        [*command, "--data", str(data), "--list", str(list_file)],
        cwd=TOP,
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result

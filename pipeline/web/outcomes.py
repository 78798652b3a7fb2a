"""What runs left in files, reports, gates and logs: read as what anyone may have written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from components.artifacts import Gate
from pipeline.web.files import Excerpt, beginning, below, end

_LONGEST_REPORT = 64 * 1024 * 1024
_LONGEST_JSON = 256 * 1024


def report_of(root: Path, recipe: str, run: int) -> Path | None:
    """The HTML report of run number `run`, if it is the one that lies there."""
    about = below(root, root / recipe / "report.json")
    page = below(root, root / recipe / "report.html")
    if about is None or page is None or not page.is_file():
        return None
    content = _json(about)
    is_of_run = isinstance(content, dict) and content.get("run") == run
    return page if is_of_run and page.stat().st_size <= _LONGEST_REPORT else None


def gates_in(root: Path, uri: str) -> Sequence[Gate]:
    """The gates in the artifact at `uri`; none if it holds none that can be read."""
    path = below(root, Path(uri) / "gates.json")
    content = None if path is None else _json(path)
    try:
        return [_gate(**gate) for gate in content] if isinstance(content, list) else []
    except (TypeError, ValueError):
        return []


def log_of(root: Path, recipe: str, run: int, component: str) -> Excerpt | None:
    """The end of what a step printed."""
    path = below(root, root / recipe / "runs" / f"{run:06d}" / "logs" / f"{component}.log")
    return None if path is None else end(path)


def _gate(name: str, value: float, limit: float, passed: bool, advice: str = "") -> Gate:
    return Gate(
        name=str(name),
        value=float(value),
        limit=float(limit),
        passed=passed is True,
        advice=str(advice),
    )


def _json(path: Path) -> object:
    excerpt = beginning(path, _LONGEST_JSON)
    try:
        return json.loads(excerpt.text) if excerpt is not None and excerpt.whole else None
    except (ValueError, RecursionError):
        return None

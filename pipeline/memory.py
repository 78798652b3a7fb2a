"""What spares the next run work and may be lost at any time: JSON files that decide nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MEMORY = ".memory"  # the folder for it below a root


def recall(path: Path) -> Any:
    """What was remembered at `path`; None if there is nothing, or it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remember(path: Path, content: Any) -> None:
    """Puts `content` in the place of what was remembered at `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(content), encoding="utf-8")
    os.replace(aside, path)

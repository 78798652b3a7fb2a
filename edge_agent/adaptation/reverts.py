"""How often what the watcher learned on this device was taken back: all that the supervisor must know of it.

    adaptations/anomaly.reverts    {"adapted": 2, "warm_up": 0}

What was kept says at which counts; the next process leaves out of it what was taken back since, and a
process that still runs at that moment cannot bring it back.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

from edge_agent.adaptation.current import FOLDER
from edge_agent.adaptation.errors import AdaptationError

Taught = Literal["adapted", "warm_up"]
_MAX_BYTES = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reverts:
    """How often adaptation was taken back, and how often the warm-up with it."""

    adapted: int = 0
    warm_up: int = 0

    @property
    def total(self) -> int:
        """A number that changes with each of them."""
        return self.adapted + self.warm_up


def reverts(root: Path) -> Reverts:
    """Those of the device folder `root`; none if the file is not there, or damaged."""
    try:
        with _path(root).open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
        counts = {name: content[name] for name in ("adapted", "warm_up")}
    except (OSError, ValueError, KeyError, TypeError):
        return Reverts()
    usable = all(type(count) is int and 0 <= count < 2**53 for count in counts.values())
    return Reverts(**counts) if usable else Reverts()


def revert(root: Path, taught: Taught) -> Reverts:
    """Takes `taught` back; gives the new counts.

    Raises:
        AdaptationError: if the disk refuses.
    """
    from edge_agent.adaptation.ownership import hand_over
    from edge_agent.update import durable
    from edge_agent.update.errors import StorageError

    before = reverts(root)
    now = dataclasses.replace(before, **{taught: getattr(before, taught) + 1})
    path = _path(root)
    try:
        with durable.storage_errors(root):
            durable.make_folder(path.parent)
            durable.write_whole(path, json.dumps(dataclasses.asdict(now)).encode() + b"\n")
            hand_over(root, path.parent, path)
    except StorageError as e:
        raise AdaptationError(str(e)) from e
    return now


def _path(root: Path) -> Path:
    return root / FOLDER / "anomaly.reverts"

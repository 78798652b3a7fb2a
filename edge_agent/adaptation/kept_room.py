"""What a device has heard of its room, kept over restarts: ``adaptations/room.json`` in the device folder.

It holds for one bundle and one version of what was learned. Whoever removes it makes the thresholds those
of the bundle again, also in a daemon that runs.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from edge_agent.adaptation.current import FOLDER
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.decoding import decode
from edge_agent.keyword.room import Heard
from edge_agent.update import durable
from edge_agent.update.errors import StorageError

_NAME = "room.json"
_MAX_BYTES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptRoom:
    """What is kept.

    Attributes:
        bundle: SHA-256 (hex) of the bundle whose thresholds follow the room.
        version: of what was learned here that it runs with; 0 for none.
        heard: of the room.
        accepts: what its thresholds accept, as a multiple of what the bundle's own do.
        drift: the largest distance of a threshold from the bundle's.
    """

    bundle: str
    version: int
    heard: Heard
    accepts: float
    drift: float


def read_room(root: Path) -> KeptRoom | None:
    """What the device folder `root` keeps of the room; None if it is nothing, or nothing usable."""
    try:
        with _path(root).open("rb") as file:
            return decode(KeptRoom, json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, RecursionError):
        return None


def write_room(root: Path, kept: KeptRoom) -> None:
    """Keeps `kept`, durably.

    Raises:
        AdaptationError: if the disk refuses.
    """
    data = json.dumps(dataclasses.asdict(kept)).encode()
    try:
        with durable.storage_errors(root):
            _path(root).parent.mkdir(exist_ok=True)
            durable.write_whole(_path(root), data)
    except StorageError as e:
        raise AdaptationError(str(e)) from e


def is_kept(root: Path) -> bool:
    """Whether anything is kept."""
    return _path(root).exists()


def forget_room(root: Path) -> None:
    """Makes the thresholds those of the bundle again.

    Raises:
        AdaptationError: if the disk refuses.
    """
    try:
        _path(root).unlink(missing_ok=True)
    except OSError as e:
        raise AdaptationError(f"{_path(root)}: cannot be removed: {e.strerror}") from e


def _path(root: Path) -> Path:
    return root / FOLDER / _NAME

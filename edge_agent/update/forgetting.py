"""A device that changes hands forgets all that it was.

Nothing runs any more before the first thing is forgotten, and what says that this is a device folder goes
last: a power cut leaves a folder in which the same can be asked for again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_agent.update import durable
from edge_agent.update.durable import storage_errors
from edge_agent.update.slots import LOCK, DeviceFolder

# What the file system has in a folder that is a disk of its own.
FOUND = "lost+found"


def forget_all(folder: DeviceFolder) -> None:
    """Forgets bundles, trust, failures, what was learned here, and what waits to be told.

    Raises:
        BusyError: if an update is under way.
        StorageError: if the disk refuses.
    """
    with folder.locked(), storage_errors(folder.root):
        folder.run_nothing()
        slots = folder.root / "slots"
        for path in sorted(folder.root.iterdir()):
            if path != slots and path.name not in {LOCK, FOUND}:
                _remove(path)
        _remove(slots)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    durable.sync_folder(path.parent)

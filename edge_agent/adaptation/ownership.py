"""Whose the files are that root makes in the device folder."""

from __future__ import annotations

import os
from pathlib import Path


def hand_over(root: Path, *paths: Path) -> None:
    """Gives what root has made to whom the device folder `root` belongs: the daemon must write it too.

    Nothing beyond the folder is given away by a link that the daemon's user left there.

    Raises:
        OSError: if it cannot be given.
    """
    owner = root.stat()
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

"""Removing the folders of artifacts that nobody needs, so that a kill at any moment leaves no half of one.

A folder is renamed out of its place, recorded as removed, and deleted then. What a killed removal left
under its new name is deleted by the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.digests import DigestMemory
from pipeline.lineage.needs import mark_removed
from pipeline.lineage.store import LineageStore
from pipeline.memory import MEMORY

_ASIDE = ".removed"  # in the folder of a recipe


def remove(root: Path, store: LineageStore, folders: Iterable[tuple[int, Path]]) -> None:
    """Removes artifacts below `root`, by id and folder, and the runs' folders that hold no other.

    For the holder of the root's lock. One whose folder is gone already is only recorded.

    Raises:
        OSError: if a folder cannot be removed; what was removed until then is recorded.
    """
    for aside in root.glob(f"*/{_ASIDE}"):
        shutil.rmtree(aside)
    memory = DigestMemory(root / MEMORY)
    for id_, folder in folders:
        recipe = folder.parents[3]
        aside = recipe / _ASIDE / str(id_)
        aside.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, aside)
        with store.write() as session:
            mark_removed(session, id_)
        memory.forget(folder)
        shutil.rmtree(aside, ignore_errors=True)
        for empty in (folder.parent, aside.parent):
            with contextlib.suppress(OSError):
                empty.rmdir()
        _remove_run_without_artifacts(folder.parents[1])


def sizes(folders: Collection[Path]) -> tuple[list[int], int]:
    """Bytes in each folder, and bytes that the disk gains if all of them go.

    The two differ where artifacts share files as hard links: such a file is gained once, and only
    if its last link goes.
    """
    counts = []
    links: dict[tuple[int, int], tuple[int, int]] = {}
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        count = 0
        for path in folder.rglob("*"):
            status = path.lstat()
            if path.is_symlink() or not path.is_file():
                continue
            count += status.st_size
            key = (status.st_dev, status.st_ino)
            links[key] = (status.st_nlink, status.st_size)
            seen[key] = seen.get(key, 0) + 1
        counts.append(count)
    gained = sum(size for key, (of, size) in links.items() if seen[key] >= of)
    return counts, gained


def _remove_run_without_artifacts(run: Path) -> None:
    """Removes a run's folder with its logs, once nothing else is in it."""
    if run.is_dir() and {path.name for path in run.iterdir()} <= {"logs"}:
        shutil.rmtree(run)

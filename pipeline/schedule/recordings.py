"""Whether a folder of recordings has changed: a listing of paths, sizes and times, no content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path


def listing_digest(folder: Path, words: Sequence[str]) -> str:
    """SHA-256, hex, over path, size and time of change of each file below `folder`, and `words`.

    Hidden files and folders do not count, as ingest passes them over; a link counts as what it
    points to. A file that goes away meanwhile counts as gone.

    Raises:
        OSError: if `folder`, or a folder in it, cannot be read.
    """
    total = hashlib.sha256(repr(tuple(words)).encode())
    for path, size, changed in sorted(_files(folder, "", frozenset())):
        total.update(os.fsencode(path) + f"\0{size}\0{changed}\0".encode())
    return total.hexdigest()


def settled(
    look: Callable[[], str], pause: Callable[[float], bool], quiet: float, patience: float
) -> str | None:
    """What `look` gives once two looks, `quiet` seconds apart, agree.

    Args:
        look: gives a digest of what is there.
        pause: waits so many seconds; false if there is no time left to wait.
        quiet: seconds without a change.
        patience: seconds after which to give up.

    Returns:
        None if it never was quiet, or `pause` was ended.
    """
    seen = look()
    waited = 0.0
    while quiet and waited < patience:
        if not pause(quiet):
            return None
        waited += quiet
        before, seen = seen, look()
        if seen == before:
            return seen
    return None if quiet else seen


def _files(
    folder: Path, below: str, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, int, int]]:
    there = folder.stat()
    here = (there.st_dev, there.st_ino)
    if here in above:
        return  # a link that leads back up
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = below + entry.name
            try:
                if entry.is_dir():
                    yield from _files(folder / entry.name, path + "/", above | {here})
                else:
                    status = entry.stat()
                    yield path, status.st_size, status.st_mtime_ns
            except FileNotFoundError:
                continue

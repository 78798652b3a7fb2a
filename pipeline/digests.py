"""Digests of folders, and a memory that spares reading files that have not changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.memory import recall, remember

# What a file system tells of a file without reading it: size, times of last change of content and of
# inode (ns), inode number.
_Stamp = tuple[int, int, int, int]

# A file that changed so short a time ago may change again within one tick of the file system's clock.
_SETTLED_NS = 2_000_000_000
_NO_CONTENT = ("logs",)


def folder_digest(folder: Path) -> str:
    """SHA-256 over the relative paths and contents of all files below `folder`, hex.

    Links are followed, as those who read the folder follow them.
    """
    return _read_all(folder, ())


def artifact_digest(folder: Path) -> str:
    """The same of an artifact's folder: ``logs`` at its top is for people and does not count."""
    return _read_all(folder, _NO_CONTENT)


class DigestMemory:
    """Remembers the digests of files by their stamps, as Git's index does.

    It can be removed at any time: it spares work and decides nothing. A change of a file through
    its file system is always seen, for that moves the inode's time of change; decay of the disk
    below it is not: the functions of this module read every byte.

    Args:
        folder: where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder_digest(self, folder: Path) -> str:
        """The same as `folder_digest`, reading only the files that it does not remember."""
        return self._digest(folder, ())

    def artifact_digest(self, folder: Path) -> str:
        """The same as `artifact_digest`, reading only the files that it does not remember."""
        return self._digest(folder, _NO_CONTENT)

    def forget(self, folder: Path) -> None:
        """Forgets the files of a folder that is gone."""
        self._place(folder).unlink(missing_ok=True)

    def _place(self, folder: Path) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()}.json"

    def _digest(self, folder: Path, left_out: Collection[str]) -> str:
        place = self._place(folder)
        known = _known(recall(place))
        stamps = _stamps(folder, left_out)
        digests = {
            name: known[name][1]
            for name, stamp in stamps.items()
            if name in known and known[name][0] == stamp
        }
        unknown = sorted(stamps.keys() - digests.keys())
        if unknown:
            digests |= dict(zip(unknown, _read(folder, unknown), strict=True))
        if unknown or known.keys() - stamps.keys():
            remember(place, _settled(stamps, digests))
        return _total(digests)


def _settled(
    stamps: Mapping[str, _Stamp], digests: Mapping[str, str]
) -> dict[str, tuple[_Stamp, str]]:
    """What may be remembered: the files that have not changed a moment ago."""
    since = time.time_ns() - _SETTLED_NS
    return {
        name: (stamp, digests[name])
        for name, stamp in stamps.items()
        if max(stamp[1], stamp[2]) < since
    }


def _known(content: Any) -> dict[str, tuple[_Stamp, str]]:
    """What is remembered; nothing, if it is damaged."""
    try:
        return {
            name: ((size, modified, changed, inode), str(digest))
            for name, ((size, modified, changed, inode), digest) in content.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _stamps(folder: Path, left_out: Collection[str]) -> dict[str, _Stamp]:
    """Every file below `folder` that counts, by its relative path."""
    return {
        name: (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        for name, status in _files(folder, "", left_out, frozenset())
    }


def _files(
    folder: Path, prefix: str, left_out: Collection[str], around: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, os.stat_result]]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in around:
        return  # a link to a folder that it lies in
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                if name not in left_out:
                    yield from _files(Path(entry.path), f"{name}/", left_out, around | {here})
            elif entry.is_file():
                yield name, entry.stat()


def _read_all(folder: Path, left_out: Collection[str]) -> str:
    names = sorted(_stamps(folder, left_out))
    return _total(dict(zip(names, _read(folder, names), strict=True)))


def _read(folder: Path, names: list[str]) -> list[str]:
    # Hashing gives up Python's lock for all but small files.
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda name: _file_digest(folder / name), names))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _total(digests: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for name in sorted(digests, key=lambda name: name.split("/")):
        total.update(os.fsencode(name) + b"\0" + bytes.fromhex(digests[name]))
    return total.hexdigest()

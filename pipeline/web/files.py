"""Reading files below the root: regular ones alone, in part where they are long, as clean text."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

LOG_BYTES = 24 * 1024
FILE_BYTES = 32 * 1024
MOST_ENTRIES = 100
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Excerpt:
    """A file's text, or the part of it that is shown.

    Attributes:
        text: what is shown.
        shown: bytes of it.
        total: bytes of the file.
    """

    text: str
    shown: int
    total: int

    @property
    def whole(self) -> bool:
        """Whether it is all of the file."""
        return self.shown >= self.total


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """What lies in a folder: a name, and its size if it is a file."""

    name: str
    bytes: int | None


def below(root: Path, path: Path) -> Path | None:
    """`path` with its links followed, if that is still below `root`; None if not, or if it is not there.

    The store may be one that others write to: what it says never leads out of the root.
    """
    try:
        resolved = path.resolve(strict=True)
        return resolved if resolved.is_relative_to(root.resolve()) else None
    except (OSError, ValueError, RuntimeError):
        return None


def beginning(path: Path, most: int = FILE_BYTES) -> Excerpt | None:
    """The first bytes of a regular file; None if there is none that can be read."""
    return _excerpt(path, most, at_end=False)


def end(path: Path, most: int = LOG_BYTES) -> Excerpt | None:
    """The last bytes of a regular file, from the start of a line; None likewise."""
    return _excerpt(path, most, at_end=True)


def entries(folder: Path) -> tuple[list[Entry], bool]:
    """What lies in `folder` by name, at most 100 of it, and whether there is more."""
    try:
        with os.scandir(folder) as found:
            some = list(islice(_entries(found), MOST_ENTRIES + 1))
    except OSError:
        return [], False
    return sorted(some[:MOST_ENTRIES], key=lambda entry: entry.name), len(some) > MOST_ENTRIES


def printable(text: str) -> str:
    """`text` without what is not for the eye: escapes of a terminal, control characters, half pairs."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("�", _ESCAPES.sub("", text))


def _entries(found: Iterator[os.DirEntry[str]]) -> Iterator[Entry]:
    for entry in found:
        is_file = entry.is_file(follow_symlinks=False)
        length = entry.stat(follow_symlinks=False).st_size if is_file else None
        yield Entry(name=printable(entry.name), bytes=length)


def _excerpt(path: Path, most: int, *, at_end: bool) -> Excerpt | None:
    try:
        # Not blocking: nobody waits for a pipe that bears the name of a log.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return None
            cut = at_end and about.st_size > most
            file.seek(about.st_size - most if cut else 0)
            data = file.read(most)
    except (OSError, ValueError):
        return None
    if cut and b"\n" in data[:-1]:
        data = data[data.index(b"\n") + 1 :]
    text = printable(data.decode("utf-8", "replace"))
    return Excerpt(text=text, shown=len(data), total=max(about.st_size, len(data)))

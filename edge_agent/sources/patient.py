"""Byte streams that may fall silent for hours: whoever reads them still gives signs of life, and can stop.

A wait is cut into short ones; after each, those who listen at `Patience.on_wait` are called, in the
reader's own thread. After `Patience.stop` a stream gives its end.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.sources.readable import Readable

_WAIT_S = 0.25
_PIECE_BYTES = 1 << 16
_LONGEST_LINE = 1 << 20


class SourceError(Exception):
    """The source cannot be read now; the message names it and the next step."""


class Patience:
    """How a reader waits.

    Attributes:
        stopped: whether it was told to stop.
        gaps: times that bytes came after `gap_after_s` or more without any, or that some were lost.
        gap_s: seconds that these lasted.
    """

    def __init__(self, *, gap_after_s: float = 1.0) -> None:
        self.stopped = False
        self.gaps = 0
        self.gap_s = 0.0
        self._gap_after_s = gap_after_s
        self._listeners: list[Callable[[bool], None]] = []
        self._fed: float | None = None

    def on_wait(self, listener: Callable[[bool], None]) -> None:
        """Has `listener` called after each short wait; with whether the stream has broken off."""
        self._listeners.append(listener)

    def stop(self) -> None:
        """Ends the wait that is under way, after a quarter of a second at most, and all others."""
        self.stopped = True

    def waited(self) -> None:
        """A short wait is over, and nothing came."""
        broken = self._fed is not None and time.monotonic() - self._fed >= self._gap_after_s
        for listener in self._listeners:
            listener(broken)

    def lost(self) -> None:
        """Something of the stream was lost on the way: a gap whose length is not known."""
        self.gaps += 1

    def fed(self) -> None:
        """Bytes came."""
        now = time.monotonic()
        if self._fed is not None and now - self._fed >= self._gap_after_s:
            self.gaps += 1
            self.gap_s += now - self._fed
        self._fed = now


class PipeBytes:
    """The bytes of a pipe, a FIFO or a whole file, as soon as some are there.

    Attributes:
        over: whether the source itself has ended.
    """

    def __init__(self, descriptor: int, patience: Patience) -> None:
        self._descriptor = descriptor
        self._patience = patience
        self.over = False

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none at the end, or when told to stop."""
        while not self._patience.stopped:
            if select.select([self._descriptor], [], [], _WAIT_S)[0]:
                try:
                    data = os.read(self._descriptor, count)
                except BlockingIOError:
                    continue
                self._patience.fed()
                self.over = not data
                return data
            self._patience.waited()
        return b""


class TailBytes:
    """The bytes that are appended to the file at `path`, over rotations and truncations, without end.

    Attributes:
        inode: of the file that is read; 0 before there is one.
        offset: bytes of it that were read.
    """

    def __init__(self, path: Path, patience: Patience, *, inode: int = 0, offset: int = 0) -> None:
        """Goes on at `offset` if the file there is still the one with `inode`, else at its beginning."""
        self._path = path
        self._patience = patience
        self._descriptor: int | None = None
        self.inode = inode
        self.offset = offset

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none only when told to stop."""
        while not self._patience.stopped:
            data = self._more(count)
            if data:
                self._patience.fed()
                return data
            time.sleep(_WAIT_S)
            self._patience.waited()
        return b""

    def _more(self, count: int) -> bytes:
        if self._descriptor is None and not self._open():
            return b""
        assert self._descriptor is not None
        data = os.pread(self._descriptor, count, self.offset)
        self.offset += len(data)
        if not data and self._replaced(self._descriptor):
            os.close(self._descriptor)
            self._descriptor = None
        return data

    def _open(self) -> bool:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as e:
            raise SourceError(f"{self._path}: cannot be read: {e.strerror}") from e
        found = os.fstat(self._descriptor)
        if found.st_ino != self.inode or found.st_size < self.offset:
            self.inode, self.offset = found.st_ino, 0
        return True

    def _replaced(self, descriptor: int) -> bool:
        """Whether the file was truncated, or another stands in its place."""
        if os.fstat(descriptor).st_size < self.offset:
            return True
        try:
            return self._path.stat().st_ino != self.inode
        except OSError:
            return False  # moved away; what follows is not there yet


class LineStream:
    """Whole lines of a byte stream, however it is cut; one that has only begun is held back.

    Attributes:
        rest: bytes of a line whose end has not come.
        torn: whether the source stands within a line whose beginning is not known; it is left out.
    """

    def __init__(
        self, source: Readable, *, head: bytes = b"", rest: bytes = b"", torn: bool = False
    ) -> None:
        """Begins with `head`, whole lines that are no part of the source.

        Args:
            source: the bytes.
            head: the header of the table; the source's own lines that equal it are left out.
            rest: of a line that a reader before this one held back.
            torn: whether that reader held one back that is not known.
        """
        self._source = source
        self._head = head
        self._given = False
        self.rest = rest
        self.torn = torn

    def leave_out(self, header: bytes) -> None:
        """Leaves out the lines that equal `header` from here on: a file that follows begins with it."""
        self._head, self._given = header, True

    def read(self, count: int) -> bytes:
        """Whole lines, about `count` bytes at most; the last of the source may lack its end."""
        if self._head and not self._given:
            self._given = True
            return self._head
        while True:
            lines, newline, rest = self.rest.rpartition(b"\n")
            if newline:
                self.rest = rest
                return self._without_head(lines + newline)
            if len(self.rest) > _LONGEST_LINE:
                lines, self.rest, self.torn = self.rest, b"", True
                return lines
            data = self._source.read(min(count, _PIECE_BYTES))
            if not data:
                return self._end()
            if self.torn:
                _, end, data = data.partition(b"\n")
                self.torn = not end
            self.rest += data

    def _end(self) -> bytes:
        """What stands after the last line end: a line, if the source is over and not just left."""
        if not getattr(self._source, "over", False):
            return b""
        lines, self.rest = self.rest, b""
        return lines

    def _without_head(self, lines: bytes) -> bytes:
        if not self._head or self._head not in lines:
            return lines
        kept = b"".join(x for x in lines.splitlines(keepends=True) if x != self._head)
        return kept or b"\n"


def open_bytes(source: str, patience: Patience) -> PipeBytes:
    """Opens ``-``, a FIFO, which then never ends, or a file, which does.

    Raises:
        SourceError: if it cannot be opened.
    """
    if source == "-":
        return PipeBytes(0, patience)
    try:
        # Opened for writing too, a FIFO does not end when its writer goes and another comes.
        flags = os.O_RDWR | os.O_NONBLOCK if is_fifo(source) else os.O_RDONLY
        return PipeBytes(os.open(source, flags | os.O_CLOEXEC), patience)
    except OSError as e:
        raise SourceError(
            f"{source}: cannot be opened ({e.strerror}): check the source in agent.toml"
        ) from e


def is_fifo(path: str) -> bool:
    """Whether a FIFO is at `path`."""
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except OSError:
        return False

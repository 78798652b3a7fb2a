"""A download that has begun: the bytes so far, and a note by which they are known again.

    .NAME.download        what has come
    .NAME.download.json   which file it is of, how many bytes were synced, and their SHA-256

A power cut may leave anything behind the last synced byte, and a disk may rot. So the note is written
after the bytes are synced, and on opening only what it vouches for is kept, if its hash still holds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import IO

from edge_agent.decoding import DecodeError, decode
from edge_agent.update import durable

_SYNC_BYTES = 256 * 1024
_PIECE_BYTES = 64 * 1024
_MAX_NOTE_BYTES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    """What is known of the bytes so far.

    Attributes:
        file: hash of the whole file that is wanted, as the trusted metadata give it.
        bytes: how many there are.
        sha256: of these bytes, hex.
        etag: the server's validator of the file, if it gave one.
    """

    file: str
    bytes: int
    sha256: str
    etag: str | None = None


def kept_bytes(destination: Path) -> int:
    """What lies on the disk of a download to `destination` that broke off: the next one takes its place."""
    try:
        return _path(destination).stat().st_size
    except OSError:
        return 0


class Partial:
    """The beginning, on the disk, of the file with the hash `file`, meant for `destination`.

    Attributes:
        bytes: how many have come, in former tries too.
        received: how many have come in this one, those thrown away again among them.
        etag: the server's validator of the file they are of, if it gave one.
    """

    def __init__(self, destination: Path, file: str) -> None:
        self.path = _path(destination)
        self._note_path = self.path.with_name(f"{self.path.name}.json")
        self._file = file
        self._hash = hashlib.sha256()
        note = self._kept_note()
        if note is None:
            self._hash = hashlib.sha256()
        self.etag = note.etag if note else None
        self.bytes = self._synced = note.bytes if note else 0
        self.received = 0
        self._opened: IO[bytes] = self.path.open("r+b" if note else "w+b")
        self._opened.truncate(self.bytes)
        self._opened.seek(self.bytes)

    def append(self, piece: bytes) -> None:
        """Adds what came next; now and then it is made durable."""
        self._opened.write(piece)
        self._hash.update(piece)
        self.bytes += len(piece)
        self.received += len(piece)
        if self.bytes - self._synced >= _SYNC_BYTES:
            self.keep()

    def keep(self) -> None:
        """Makes all that has come durable, so that the next download goes on from here."""
        if self.bytes == self._synced:
            return
        self._opened.flush()
        os.fsync(self._opened.fileno())
        note = Note(
            file=self._file, bytes=self.bytes, sha256=self._hash.hexdigest(), etag=self.etag
        )
        durable.write_whole(self._note_path, json.dumps(dataclasses.asdict(note)).encode())
        self._synced = self.bytes

    def restart(self, etag: str | None) -> None:
        """Forgets what has come: the server begins anew, with a file that has `etag`."""
        self._note_path.unlink(missing_ok=True)
        self._opened.seek(0)
        self._opened.truncate()
        self._hash = hashlib.sha256()
        self.bytes = self._synced = 0
        self.etag = etag

    def whole(self) -> IO[bytes]:
        """The file as it is, to be verified from its beginning."""
        self._opened.flush()
        self._opened.seek(0)
        return self._opened

    def place(self, destination: Path) -> None:
        """Makes the verified file `destination`, durably."""
        self._opened.close()
        durable.place(self.path, destination)
        self._note_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the file; what was kept stays for the next download."""
        if not self._synced and not self._opened.closed:
            self.discard()
        self._opened.close()

    def discard(self) -> None:
        """Removes all of it."""
        self._opened.close()
        durable.remove(self._note_path)
        durable.remove(self.path)

    def _kept_note(self) -> Note | None:
        """The note, if it is about this file and the bytes that it vouches for are there."""
        try:
            with self._note_path.open("rb") as opened:
                note = decode(Note, json.loads(opened.read(_MAX_NOTE_BYTES)))
            left = note.bytes
            with self.path.open("rb") as opened:
                while left > 0 and (piece := opened.read(min(_PIECE_BYTES, left))):
                    self._hash.update(piece)
                    left -= len(piece)
        except (OSError, ValueError, RecursionError, DecodeError):
            return None
        holds = left == 0 and self._hash.hexdigest() == note.sha256
        return note if holds and note.file == self._file else None


def _path(destination: Path) -> Path:
    return destination.with_name(f".{destination.name.lstrip('.')}.download")

"""Events that wait to be delivered, in a SQLite database: they outlive kill -9 and a power cut.

Each is synced before `put` returns, and stays until its receiver has it. What is beyond `limit_bytes` goes,
the oldest first; what the disk does not take is lost. Both are counted. A database that is damaged is
put aside, and a new one begun: a device that cannot remember still works.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL
)"""


@dataclasses.dataclass(frozen=True)
class Waiting:
    """An event that waits: its number, which only grows, its topic and its content."""

    number: int
    topic: str
    payload: bytes


class Outbox:
    """What waits in the file `path`; one thread may use it.

    Attributes:
        dropped: events that were lost since the start: beyond the limit, or not taken by the disk.
        waiting: events that wait.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.dropped = 0
        self.waiting = 0
        self._path = path
        self._limit = limit_bytes
        self._bytes = 0
        self._database: sqlite3.Connection | None = None
        self._open()

    def put(self, topic: str, payload: bytes) -> None:
        """Takes an event, durably."""
        if self._database is None:
            self._open()  # there may be room again
        try:
            if self._database is None:
                raise sqlite3.OperationalError("no database")
            self._make_room(self._database, len(payload))
            self._database.execute(
                "INSERT INTO events (topic, payload) VALUES (?, ?)", (topic, payload)
            )
            self.waiting += 1
            self._bytes += len(payload)
        except sqlite3.Error as e:
            self.dropped += 1
            self._mend(e)

    def after(self, number: int, count: int) -> list[Waiting]:
        """At most `count` events beyond `number`, the oldest first."""
        if self._database is None:
            return []
        try:
            rows = self._database.execute(
                "SELECT number, topic, payload FROM events WHERE number > ? ORDER BY number LIMIT ?",
                (number, count),
            )
            return [Waiting(*row) for row in rows]
        except sqlite3.Error as e:
            self._mend(e)
            return []

    def done(self, number: int) -> None:
        """The event with this number has been received."""
        if self._database is None:
            return
        try:
            rows = self._database.execute(
                "DELETE FROM events WHERE number = ? RETURNING length(payload)", (number,)
            ).fetchall()
        except sqlite3.Error as e:
            self._mend(e)
            return
        self.waiting -= len(rows)
        self._bytes -= sum(size for (size,) in rows)

    def close(self) -> None:
        """Lets go of the file."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _open(self) -> None:
        try:
            database = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
            # Each commit reaches the disk; the log is written back before it is long.
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=32"):
                database.execute(f"PRAGMA {pragma}")
            database.execute(_SCHEMA)
            (sizes,) = database.execute("SELECT count(*), total(length(payload)) FROM events")
        except sqlite3.Error as e:
            self._mend(e)
            return
        self._database = database
        self.waiting, self._bytes = sizes[0], int(sizes[1])

    def _make_room(self, database: sqlite3.Connection, size: int) -> None:
        while self.waiting and self._bytes + size > self._limit:
            ((freed,),) = database.execute(
                "DELETE FROM events WHERE number = (SELECT min(number) FROM events) "
                "RETURNING length(payload)"
            ).fetchall()
            self.waiting -= 1
            self._bytes -= freed
            self.dropped += 1

    def _mend(self, error: sqlite3.Error) -> None:
        """Puts a damaged file aside; what else there may be, such as a full disk, passes by itself."""
        full = isinstance(error, sqlite3.OperationalError)
        if full and "malformed" not in str(error):
            return
        self.close()
        self.waiting = self._bytes = 0
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.replace(f"{self._path}{end}", f"{self._path}.damaged{end}")

"""The one look-up that a poll takes: the device, and its open actions.

SQLite answers in the event loop itself, in a few microseconds; PostgreSQL is asked in threads.
"""

from __future__ import annotations

import asyncio
import sqlite3
import urllib.parse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa

from fleet.store.database import Database
from fleet.store.errors import StoreError
from fleet.store.schema import OPEN

_THREADS = 8
_MAPPED = 256 * 1024**2  # bytes, some 4 million devices; what is beyond is read
_QUERY = f"""
SELECT d.id, d.token_hash, d.asked, d.installed_action_id,
       a.id, a.state, a.rollout_id, a.group_index, a.release_id, a.cancel_asked, a.confirmed, a.superseded
FROM device d LEFT JOIN action a ON a.device_id = d.id AND a.{OPEN}
WHERE d.tenant_id = {{}} AND d.name = {{}} ORDER BY a.id
"""


class OpenAction(NamedTuple):
    """An action that is not final."""

    id: int
    state: str
    rollout_id: int
    group_index: int
    release_id: int
    cancel_asked: bool
    confirmed: bool | None
    superseded: bool


class Found(NamedTuple):
    """A device as a poll needs it."""

    id: int
    token_hash: str | None
    asked: bool
    installed: int | None
    actions: tuple[OpenAction, ...]


class Lookup(Protocol):
    """Finds devices."""

    async def find(self, tenant: int, name: str) -> Found | None:
        """The device, or None if it is unknown.

        Raises:
            StoreError: if the database cannot be read.
        """

    def close(self) -> None:
        """Closes its connections."""


def make_lookup(database: Database) -> Lookup:
    """The look-up for this kind of database."""
    return _Sqlite(str(database.url.database)) if database.is_sqlite else _Postgres(database)


class _Sqlite:
    def __init__(self, file: str) -> None:
        address = f"file:{urllib.parse.quote(file)}?mode=ro"
        self._connection = sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False
        )
        # Mapped, so that a device that was not asked for lately costs no system call and no copy of a page.
        self._connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
        self._query = _QUERY.format("?", "?")
        self._file = file

    async def find(self, tenant: int, name: str) -> Found | None:
        try:
            return _found(self._connection.execute(self._query, (tenant, name)).fetchall())
        except sqlite3.OperationalError as e:
            raise StoreError(f"{self._file}: {e}") from e

    def close(self) -> None:
        self._connection.close()


class _Postgres:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._query = sa.text(_QUERY.format(":tenant", ":name"))
        self._threads = ThreadPoolExecutor(_THREADS, "lookup")

    async def find(self, tenant: int, name: str) -> Found | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._find, tenant, name)

    def close(self) -> None:
        self._threads.shutdown()

    def _find(self, tenant: int, name: str) -> Found | None:
        with self._database.read() as connection:
            given = {"tenant": tenant, "name": name}
            return _found([tuple(row) for row in connection.execute(self._query, given)])


def _found(rows: Sequence[tuple[Any, ...]]) -> Found | None:
    if not rows:
        return None
    first = rows[0]
    actions = tuple(OpenAction(*row[4:]) for row in rows if row[4] is not None)
    return Found(first[0], first[1], bool(first[2]), first[3], actions)

"""The server's database: SQLite in WAL mode by default, PostgreSQL by URL for several workers.

Writers take turns: in SQLite a transaction that writes takes the write lock when it begins, in
PostgreSQL an advisory lock that all processes of the fleet share. So what a transaction counts stays
true until it commits, and two workers cannot both give the last place of a rollout's group. Readers
never wait. Every commit is on the disk before it is answered (``synchronous = FULL``).
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fleet.store.errors import StoreError
from fleet.store.schema import SCHEMA, VERSION_TABLE

DATABASE = "fleet.db"
_FORMS = "write postgresql://user@host:port/name or sqlite:///file"
_WAIT_MS = 30_000
_SCRIPTS = "fleet.store:migrations"
# What Alembic finds there as files; the build knows from here that they are needed.
_MIGRATIONS = (
    "fleet.store.migrations.env",
    "fleet.store.migrations.versions.v1",
    "fleet.store.migrations.versions.v2",
    "fleet.store.migrations.versions.v3",
)
_SERVER_TIME_OUTS = {"connect_timeout": 10, "tcp_user_timeout": 30_000}  # seconds, milliseconds
_ADVISORY_LOCK = 0x666C656574  # any number that nobody else takes in this database
_SERVER_ADVICE = "check that the server runs and lets this user in"
_FILE_ADVICE = "check that its folder can be written, that its disk has room, and that it is one"
_BUSY_ADVICE = (
    f"another process writes to it for longer than {_WAIT_MS // 1000} s, such as an abort of very many "
    "devices: try again when that is done"
)
_versions = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))


def parse_url(text: str) -> sa.URL:
    """The URL that a person gave; PostgreSQL's goes to psycopg.

    Raises:
        StoreError: if it is none of a database that is supported. The message repeats nothing of it, for
            it may hold a password.
    """
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(f"--database: no URL of a database: {_FORMS}") from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database:
        return url
    raise StoreError(f"--database: this database is not supported: {_FORMS}")


def default_url(root: Path) -> sa.URL:
    """The URL of the SQLite database of a server's root folder."""
    return sa.URL.create("sqlite", database=str(root / DATABASE))


class Database:
    """The database at `url`, with the schema of this code.

    Args:
        url: as `parse_url` or `default_url` give it.

    Raises:
        StoreError: if it cannot be opened, or its schema is newer than this code.
    """

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        arguments = {} if self.is_sqlite else _SERVER_TIME_OUTS
        self._engine = sa.create_engine(url, pool_pre_ping=True, connect_args=arguments)
        if self.is_sqlite:
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._writing = self._engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        try:
            with self._plain_errors():
                self._prepare()
        except BaseException:
            self._engine.dispose()
            raise

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, and waits for nobody.

        Raises:
            StoreError: if the database cannot be reached.
        """
        with self._plain_errors(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes; no other one does meanwhile.

        Raises:
            StoreError: if the database cannot be reached, or does not let us write.
        """
        with self._plain_errors(), self._writing.begin() as connection:
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def described(self) -> str:
        """What messages call it: its file, or what it is on which host; never who logs in how."""
        if self.is_sqlite:
            return self.url.database or DATABASE
        host = self.url.host or "the local socket"
        return f"PostgreSQL database {self.url.database} at {host}:{self.url.port or 5432}"

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.DataError):
            raise  # ours
        except sa.exc.DBAPIError as e:
            advice = _SERVER_ADVICE
            if self.is_sqlite:
                busy = getattr(e.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                advice = _BUSY_ADVICE if busy else _FILE_ADVICE
            reason = str(e.orig).strip()
            for secret in filter(None, [self.url.password, *map(str, self.url.query.values())]):
                reason = reason.replace(str(secret), "***")
            raise StoreError(f"{self.described()}: {reason}: {advice}") from e

    def _prepare(self) -> None:
        """Makes the schema or migrates to it; Alembic is imported only if there is something to do."""
        with self._engine.begin() as connection:
            if _found(connection) == SCHEMA:
                return
        with self.write() as connection:
            found = _found(connection)  # again: another process may have been first
            if found and int(found) > int(SCHEMA):
                raise StoreError(
                    f"{self.described()}: holds a fleet of schema {found}, and this version knows "
                    f"{SCHEMA}: use the newer version that wrote it"
                )
            if found != SCHEMA:
                _migrate(connection)


def _found(connection: sa.Connection) -> str:
    """The schema that is there; empty for none."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.execute(sa.select(_versions.c.version_num)).scalar() or "")


def _migrate(connection: sa.Connection) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _SCRIPTS)
    command.upgrade(config, SCHEMA)


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    connection.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    with contextlib.suppress(sqlite3.OperationalError):
        # Another process may be switching it now, and a database that can only be read stays as it is.
        connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

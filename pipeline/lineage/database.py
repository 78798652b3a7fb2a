"""Opening the lineage database: its connections, its schema, and plain words for what is wrong with it.

SQLite runs in WAL mode. A process that is killed leaves either the whole of its last transaction or
nothing of it; readers (a page, a second command) never wait for the run that is writing, nor it for
them; and a commit costs one fsync. What it asks for: a local disk, and that ``lineage.db-wal`` goes
along wherever somebody copies ``lineage.db`` while it is in use.

A PostgreSQL server may be restarted while a run goes on: each transaction asks for a connection that
works, and waits for one. A server that stays away ends the run with a plain error; what was recorded is
there afterwards, and the next run goes on from it.

Transactions that write take SQLite's write lock when they begin, so that they wait for each other and
never fail half way because another one was first.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from components.base import UserError
from pipeline.lineage.schema import SCHEMA, VERSION_TABLE, Base

_FORMS = "write postgresql://user@host:port/name or sqlite:///file"
_WAIT_MS = 30_000
_SCRIPTS = "pipeline.lineage:migrations"
# What Alembic finds there as files; the build knows from here that they are needed.
_MIGRATIONS = (
    "pipeline.lineage.migrations.env",
    "pipeline.lineage.migrations.versions.v2",
    "pipeline.lineage.migrations.versions.v3",
)
_SERVER_TIME_OUTS = {"connect_timeout": 10, "tcp_user_timeout": 30_000}  # seconds, milliseconds
_PATIENCE = 120.0  # seconds that a run waits for a server which was there when it began
_ADVISORY_LOCK = 0x65646765  # any number that nobody else takes in this database
_versions = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))


def parse_url(text: str) -> sa.URL:
    """The URL that a person gave; PostgreSQL's goes to psycopg.

    Raises:
        UserError: if it is none of a database that is supported. The message repeats nothing of it, for
            it may hold a password.
    """
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise UserError(f"--lineage: no URL of a database: {_FORMS}") from None
    if text.partition("?")[0].count("@") > 1:
        raise UserError("--lineage: write an @ in the user's name or password as %40")
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database:
        return url
    raise UserError(f"--lineage: this database is not supported: {_FORMS}")


def sqlite_url(path: Path) -> sa.URL:
    """The URL of an SQLite database in a file of any name."""
    return sa.URL.create("sqlite", database=str(path))


def open_database(url: sa.URL) -> sa.Engine:
    """The database at `url` with the schema of this code, made or migrated if need be.

    Raises:
        UserError: if it cannot be opened, or its schema is newer than this code.
    """
    arguments = {} if _is_sqlite(url) else _SERVER_TIME_OUTS
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=arguments)
    if _is_sqlite(url):
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    try:
        with plain_errors(engine):
            _prepare(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def for_writing(engine: sa.Engine) -> sa.Engine:
    """The same engine, whose transactions write: in SQLite they queue up from the beginning."""
    return engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")


def connect_patiently(engine: sa.Engine) -> sa.Connection:
    """A connection; waits two minutes for a server that is away, so that its restart ends no run.

    Raises:
        sqlalchemy.exc.OperationalError: if it stays away.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return engine.connect()
        except sa.exc.OperationalError:
            if _is_sqlite(engine.url) or time.monotonic() > end:
                raise
            time.sleep(0.5)


def described(url: sa.URL) -> str:
    """What messages call the database: its file, or what it is on which host; never who logs in how."""
    if _is_sqlite(url):
        return url.database or "lineage"
    host = url.host or "the local socket"
    return f"PostgreSQL database {url.database} at {host}:{url.port or 5432}"


@contextlib.contextmanager
def plain_errors(engine: sa.Engine) -> Iterator[None]:
    """Says in plain words what is wrong with the database.

    Raises:
        UserError: instead of what its driver raises. A broken constraint is ours, and passes.
    """
    try:
        yield
    except (sa.exc.IntegrityError, sa.exc.DataError):
        raise
    except sa.exc.DBAPIError as e:
        advice = (
            "check that its folder can be written, that its disk has room, and that it is a database"
            if _is_sqlite(engine.url)
            else "check that the server runs and lets this user in, then run again"
        )
        reason = _without_secrets(str(e.orig).strip(), engine.url)
        raise UserError(f"{described(engine.url)}: {reason}: {advice}") from e


def _without_secrets(text: str, url: sa.URL) -> str:
    secrets = [str(url.password or ""), *map(str, url.query.values())]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def _is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _prepare(engine: sa.Engine) -> None:
    """Brings the schema up to date; Alembic is imported only if there is something to migrate."""
    with engine.connect() as connection:
        if _found(connection) == SCHEMA:
            return
    with for_writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        found = _found(connection)  # again: another process may have been first
        if found > SCHEMA:
            raise UserError(
                f"{described(engine.url)}: holds lineage of schema {found}, and this version knows "
                f"{SCHEMA}: use the newer version that wrote it"
            )
        if found == 0:
            Base.metadata.create_all(connection)
            _version_table().create(connection)
            connection.execute(_versions.insert().values(version_num=str(SCHEMA)))
        elif found < SCHEMA:
            _migrate(connection)


def _found(connection: sa.Connection) -> int:
    """The schema that is there; 0 for none."""
    tables = sa.inspect(connection)
    if not tables.has_table(VERSION_TABLE):
        return 1 if tables.has_table("context") else 0
    return int(connection.execute(sa.select(_versions.c.version_num)).scalar_one())


def _version_table() -> sa.Table:
    """As Alembic makes it."""
    version = sa.Column("version_num", sa.String(32), nullable=False)
    primary_key = sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc")
    return sa.Table(VERSION_TABLE, sa.MetaData(), version, primary_key)


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _SCRIPTS)
    command.upgrade(config, "head")


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    connection.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    with contextlib.suppress(sqlite3.OperationalError):
        # Another process may be switching it now, and a database that can only be read stays as it is.
        connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

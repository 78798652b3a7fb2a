"""Opening a lineage store for reading alone: the database itself refuses a write."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from components.base import UserError
from pipeline.lineage.database import described, plain_errors
from pipeline.lineage.schema import SCHEMA, VERSION_TABLE, Base

_WAIT_SECONDS = 5
_POSTGRESQL = "SET default_transaction_read_only = on; SET statement_timeout = '10s'"


class ReadOnlyStore:
    """The rows of a lineage store.

    Args:
        url: where the database is.

    Raises:
        UserError: if there is no store, or one that this code cannot read.
    """

    def __init__(self, url: sa.URL) -> None:
        self._engine = _engine(url)
        self._name = described(url)
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """A session that never writes.

        Raises:
            UserError: if the store cannot be read just now.
        """
        with plain_errors(self._engine), Session(self._engine) as session:
            yield session

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def _check(self) -> None:
        with self.session() as session:
            tables = sa.inspect(session.connection())
            if not tables.has_table(Base.metadata.tables["context"].name):
                raise UserError(f"{self._name}: holds no lineage: give the --root of a run")
            version = sa.text(f"SELECT version_num FROM {VERSION_TABLE}")
            found = 1
            if tables.has_table(VERSION_TABLE):
                found = int(session.execute(version).scalar_one())
        if found > SCHEMA:
            raise UserError(
                f"{self._name}: holds lineage of schema {found}, and this version knows {SCHEMA}: "
                "use the newer version that wrote it"
            )
        if found < SCHEMA:
            raise UserError(
                f"{self._name}: holds lineage of schema {found}, and pages only read: the next run "
                f"at this root brings it to schema {SCHEMA}"
            )


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(url, pool_pre_ping=True)
        sa.event.listen(engine, "connect", _set_up_postgresql)
        return engine
    path = Path(url.database or "")
    if not path.is_file():
        raise UserError(
            f"{path}: not there: no run was ever made here: give the --root of one, or make one: "
            f"python -m pipeline run RECIPE --root {path.parent}"
        )
    address = f"file:{quote(str(path.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False)

    # A connection a request: a store that was replaced or taken away is noticed.
    return sa.create_engine(url, creator=connect, poolclass=NullPool)


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    connection.execute(_POSTGRESQL)
    connection.commit()

"""The fleet's tables as lines of JSON, the same for every kind of database, and back.

The first line says which schema they are of; each other one is a table's name and a row. Tables follow the
order in which they refer to each other, so that the lines can be put back as they come.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from fleet.store.database import Database
from fleet.store.errors import StoreError
from fleet.store.schema import SCHEMA, Base

_BATCH = 1000


def dump(database: Database) -> Iterator[str]:
    """The lines of all that is in the database at one moment.

    Raises:
        StoreError: if it cannot be read.
    """
    with database.read() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield json.dumps({"schema": SCHEMA})
        for table in Base.metadata.sorted_tables:
            keys = table.primary_key.columns
            rows = connection.execution_options(stream_results=True).execute(
                sa.select(table).order_by(*keys)
            )
            for row in rows:
                yield json.dumps([table.name, dict(row._mapping)], ensure_ascii=False)


def load(database: Database, lines: Iterable[str]) -> int:
    """Puts the rows of `lines` into an empty fleet, all or none; gives how many.

    Raises:
        StoreError: if there is a fleet already, or the lines are not those of a fleet of this schema.
    """
    given = iter(lines)
    tables = {table.name: table for table in Base.metadata.sorted_tables}
    schema = _parse(next(given, ""))
    if not isinstance(schema, dict) or schema.get("schema") != SCHEMA:
        found = schema.get("schema") if isinstance(schema, dict) else None
        raise StoreError(
            f"the backup is of schema {found}, and this version knows {SCHEMA}: restore it with the "
            "version that wrote it, and open the fleet with this one afterwards"
        )
    count = 0
    with database.write() as connection:
        if connection.scalar(sa.select(sa.func.count()).select_from(tables["tenant"])):
            raise StoreError(f"{database.described()}: holds a fleet already: name an empty one")
        name = ""
        batch: list[dict[str, Any]] = []
        for line in given:
            parsed = _parse(line)
            if not (isinstance(parsed, list) and len(parsed) == 2 and parsed[0] in [*tables]):
                raise StoreError("the backup is damaged: it holds rows of no known table")
            if parsed[0] != name or len(batch) == _BATCH:
                _insert(connection, tables, name, batch)
                name, batch = parsed[0], []
            batch.append(parsed[1])
            count += 1
        _insert(connection, tables, name, batch)
        if not database.is_sqlite:
            _go_on_counting(connection, tables.values())
    return count


def _insert(
    connection: sa.Connection, tables: dict[str, sa.Table], name: str, rows: list[dict[str, Any]]
) -> None:
    if rows:
        try:
            connection.execute(sa.insert(tables[name]), rows)
        except (sa.exc.SQLAlchemyError, TypeError, ValueError, AttributeError) as e:
            raise StoreError(f"the backup is damaged: a row of {name} cannot be put back") from e


def _go_on_counting(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """PostgreSQL's sequences know nothing of ids that were given."""
    for table in tables:
        column = table.autoincrement_column
        if column is not None and connection.scalar(sa.select(sa.func.max(column))) is not None:
            connection.execute(
                sa.select(
                    sa.func.setval(
                        sa.func.pg_get_serial_sequence(f'"{table.name}"', column.name),
                        sa.select(sa.func.max(column)).scalar_subquery(),
                    )
                )
            )


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise StoreError("the backup is damaged: it holds a line that is not JSON") from None

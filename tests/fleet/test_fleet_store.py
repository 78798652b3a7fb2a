"""The server's database: its schema comes from its migrations, and its audit log stays as it was written."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fleet.control import audit, devices, tenants
from fleet.store.database import Database, default_url, parse_url
from fleet.store.errors import StoreError
from fleet.store.schema import SCHEMA, VERSION_TABLE, Audit, Base
from tests.fixtures.postgresql import new_schema

ROOT = Path(__file__).resolve().parents[2]


def test_the_migrations_make_the_schema_that_the_code_knows(any_url):
    database = Database(any_url)
    with database.read() as connection:
        # SQLite reads back a type's name alone, and that differs from the one that was asked for.
        options = {"version_table": VERSION_TABLE, "compare_type": not database.is_sqlite}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    database.close()
    Database(any_url).close()


def test_the_audit_log_is_only_added_to(any_url):
    database = Database(any_url)
    with database.write() as connection:
        audit.note(connection, 1.0, None, "anna", "tenant add", "lab")
    for change in (sa.update(Audit).values(who="nobody"), sa.delete(Audit)):
        refused = pytest.raises((StoreError, sa.exc.IntegrityError), match="only added to")
        with refused, database.write() as connection:
            connection.execute(change)
    with database.read() as connection:
        (entry,) = audit.entries(connection, None)
    assert (entry["who"], entry["what"], entry["subject"]) == ("anna", "tenant add", "lab")
    database.close()


def test_a_fleet_of_an_earlier_schema_goes_on(any_url, monkeypatch):
    monkeypatch.setattr("fleet.store.database.SCHEMA", "1")
    database = Database(any_url)
    with database.write() as connection:
        audit.note(connection, 1.0, None, "anna", "tenant add", "lab")
    database.close()
    monkeypatch.undo()
    database = Database(any_url)
    with database.read() as connection:
        assert connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == SCHEMA
        assert [entry["who"] for entry in audit.entries(connection, None)] == ["anna"]
    database.close()


def test_last_polls_are_carried_over_to_their_own_table(any_url, monkeypatch):
    monkeypatch.setattr("fleet.store.database.SCHEMA", "2")
    database = Database(any_url)
    with database.write() as connection:
        tenant, _ = tenants.add(connection, 1.0, "anna", "lab")
        for name, seen in (("one", 5.5), ("two", None)):
            connection.execute(
                sa.text(
                    "INSERT INTO device (tenant_id, name, created, seen, attributes, asked) "
                    'VALUES (:tenant, :name, 1.0, :seen, \'{"site": "x"}\', :asked)'
                ),
                {"tenant": tenant, "name": name, "seen": seen, "asked": False},
            )
    database.close()
    monkeypatch.undo()
    database = Database(any_url)
    with database.read() as connection:
        told = devices.listing(connection, tenant)
        columns = {column["name"] for column in sa.inspect(connection).get_columns("device")}
    assert [(device["id"], device["seen"]) for device in told] == [("one", 5.5), ("two", None)]
    assert all(device["attributes"] == {"site": "x"} for device in told)
    assert "seen" not in columns
    database.close()


def test_a_newer_schema_is_refused(any_url):
    database = Database(any_url)
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '99'")
    database.close()
    with pytest.raises(StoreError, match=f"schema 99, and this version knows {SCHEMA}"):
        Database(any_url)


def test_several_processes_may_open_an_empty_database_first(postgresql):
    program = (
        "import sys; from fleet.store.database import Database, default_url, parse_url;"
        "Database(parse_url(sys.argv[1])).close()"
    )
    with new_schema(postgresql) as url:
        command = [sys.executable, "-c", program, url.render_as_string(hide_password=False)]
        running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
        assert [process.wait(120) for process in running] == [0, 0]


@pytest.mark.parametrize("text", ["mysql://x/y", "no url", "sqlite://?a=b"])
def test_other_databases_are_refused_without_repeating_the_url(text):
    with pytest.raises(StoreError, match="write postgresql://") as e:
        parse_url(text)
    assert text not in str(e.value)


def test_a_database_that_another_process_writes_to_is_told_apart_from_a_broken_one(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("fleet.store.database._WAIT_MS", 10)
    with contextlib.closing(Database(default_url(tmp_path))) as one, one.write():
        other = Database(default_url(tmp_path))
        with pytest.raises(StoreError, match="another process writes to it"), other.write():
            pass
        other.close()


def test_a_database_that_is_away_is_a_plain_error(tmp_path):
    url = parse_url("postgresql://anna:secret@127.0.0.1:1/fleet")
    with pytest.raises(StoreError, match=r"PostgreSQL database fleet at 127\.0\.0\.1:1") as e:
        Database(url)
    assert "secret" not in str(e.value)
    with pytest.raises(StoreError, match="check that its folder can be written"):
        Database(sa.URL.create("sqlite", database=str(tmp_path / "none" / "fleet.db")))

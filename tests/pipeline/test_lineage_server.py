"""A PostgreSQL server that goes away while a run goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.base import UserError
from pipeline.lineage import database
from pipeline.lineage.schema import Artifact, Context, Execution
from pipeline.lineage.store import LineageStore
from tests.fixtures.cuttable import cuttable_way
from tests.fixtures.lineage_rows import rows
from tests.fixtures.postgresql import new_schema

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def schema(postgresql):
    with new_schema(postgresql) as url:
        yield url


@pytest.fixture
def way(schema):
    with cuttable_way("127.0.0.1", schema.port or 5432) as way:
        yield way


@pytest.fixture
def store(schema, way):
    store = LineageStore(schema.set(host="127.0.0.1", port=way.port))
    yield store
    store.close()


def begin(store: LineageStore) -> tuple[int, int]:
    run = store.begin_run("try", {})
    return run, store.begin_execution(run, "Step", "Step", "key", {}, {}, {})


def test_a_restart_of_the_server_ends_no_run(store, way, tmp_path):
    run, execution = begin(store)
    way.cut()
    threading.Timer(1.5, way.restore).start()
    store.end_execution(execution, {"clips": 2.0}, {"schema": ("Schema", tmp_path, "ab")})
    store.end_run(run, "complete")
    assert [c.state for c in rows(store, Context)] == ["complete"]
    assert [e.metrics for e in rows(store, Execution)] == [{"clips": 2.0}]


def test_a_server_that_stays_away_is_an_error_and_loses_nothing(
    store, way, schema, tmp_path, monkeypatch
):
    monkeypatch.setattr(database, "_PATIENCE", 0.2)
    _, execution = begin(store)
    way.cut()
    with pytest.raises(UserError, match=r"PostgreSQL database \w+ at 127\.0\.0\.1:\d+: .*server"):
        store.end_execution(execution, {}, {"schema": ("Schema", tmp_path, "ab")})
    again = LineageStore(schema)
    assert [e.state for e in rows(again, Execution)] == ["running"]
    assert rows(again, Artifact) == []
    again.abandon_running("try")
    assert [c.state for c in rows(again, Context)] == ["interrupted"]
    again.close()


def test_a_connection_that_breaks_in_a_transaction_leaves_nothing_of_it(store, way, schema):
    begin(store)

    def break_off() -> None:
        with store.write() as session:
            session.get_one(Context, 1).state = "complete"
            session.flush()
            way.cut()
            session.get_one(Execution, 1)

    with pytest.raises(UserError, match="PostgreSQL database"):
        break_off()
    again = LineageStore(schema)
    assert [c.state for c in rows(again, Context)] == ["running"]
    again.close()


def test_several_processes_may_open_an_empty_database_first(schema):
    program = """
import sys
from pipeline.lineage.store import LineageStore
store = LineageStore(sys.argv[1])
store.end_run(store.begin_run("first", {}), "complete")
"""
    command = [sys.executable, "-c", program, schema.render_as_string(hide_password=False)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    store = LineageStore(schema)
    assert [c.state for c in rows(store, Context)] == ["complete"] * 2
    store.close()

"""Opening the lineage database: made, migrated or refused, by one process or several, under any name."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from components.base import UserError
from pipeline.lineage.schema import VERSION_TABLE, Artifact, Base, Context, Event, Execution
from pipeline.lineage.store import DATABASE, LineageStore
from tests.fixtures.lineage_rows import rows

ROOT = Path(__file__).resolve().parents[2]

# As the code that knew no versions made it.
SCHEMA_1 = """
CREATE TABLE context (id INTEGER NOT NULL, recipe VARCHAR NOT NULL, state VARCHAR NOT NULL,
    started DATETIME NOT NULL, finished DATETIME, environment JSON NOT NULL, PRIMARY KEY (id));
CREATE TABLE artifact (id INTEGER NOT NULL, type VARCHAR NOT NULL, uri VARCHAR NOT NULL,
    digest VARCHAR NOT NULL, created DATETIME NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_artifact_type ON artifact (type);
CREATE INDEX ix_artifact_digest ON artifact (digest);
CREATE TABLE execution (id INTEGER NOT NULL, context_id INTEGER NOT NULL, component VARCHAR NOT NULL,
    type VARCHAR NOT NULL, state VARCHAR NOT NULL, cache_key VARCHAR NOT NULL,
    parameters JSON NOT NULL, metrics JSON NOT NULL, started DATETIME NOT NULL, finished DATETIME,
    PRIMARY KEY (id), FOREIGN KEY(context_id) REFERENCES context (id));
CREATE INDEX ix_execution_context_id ON execution (context_id);
CREATE INDEX ix_execution_cache_key ON execution (cache_key);
CREATE TABLE event (id INTEGER NOT NULL, execution_id INTEGER NOT NULL,
    artifact_id INTEGER NOT NULL, direction VARCHAR NOT NULL, name VARCHAR NOT NULL,
    PRIMARY KEY (id), FOREIGN KEY(execution_id) REFERENCES execution (id),
    FOREIGN KEY(artifact_id) REFERENCES artifact (id));
CREATE INDEX event_by_execution ON event (execution_id);
CREATE INDEX event_by_artifact ON event (artifact_id);
"""
ROWS_1 = """
INSERT INTO context VALUES (7, 'try', 'complete', '2026-01-02 03:04:05.000006', NULL, '{"numpy": "1"}');
INSERT INTO artifact VALUES (3, 'Schema', '/somewhere', 'ab', '2026-01-02 03:04:05.000006');
INSERT INTO execution VALUES (5, 7, 'Step', 'Steps', 'complete', 'key', '{"seed": 1}', '{"clips": 2.0}',
    '2026-01-02 03:04:05.000006', '2026-01-02 03:04:06.000000');
INSERT INTO event VALUES (9, 5, 3, 'output', 'schema');
"""


def make_schema_1(root: Path, rows: str = ROWS_1) -> None:
    connection = sqlite3.connect(root / DATABASE)
    connection.executescript(SCHEMA_1 + rows)
    connection.close()


def set_version(root: Path, version: str) -> None:
    with sqlite3.connect(root / DATABASE) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", [version])
    connection.close()


def difference(root: Path) -> list[object]:
    """What a database lacks of the tables that the code declares, or has beyond them."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(root / DATABASE)))
    try:
        with engine.connect() as connection:
            options = {"version_table": VERSION_TABLE}
            context = MigrationContext.configure(connection, opts=options)
            return compare_metadata(context, Base.metadata)
    finally:
        engine.dispose()


def run_python(program: str, root: Path) -> int:
    """The exit code of a Python program that is given `root`."""
    command = [sys.executable, "-c", program, str(root)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode


def open_at_once(barrier: threading.Barrier, root: Path) -> None:
    barrier.wait(60)
    store = LineageStore.at(root)
    store.end_run(store.begin_run("first", {}), "complete")
    store.close()


def test_a_database_without_a_version_is_migrated_without_loss(tmp_path):
    make_schema_1(tmp_path)
    store = LineageStore.at(tmp_path)
    then = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
    (context,) = rows(store, Context)
    assert (context.id, context.recipe, context.root, context.state) == (7, "try", "", "complete")
    assert (context.started, context.finished, context.environment) == (then, None, {"numpy": "1"})
    (execution,) = rows(store, Execution)
    assert (execution.id, execution.context_id, execution.cache_key) == (5, 7, "key")
    assert (execution.parameters, execution.metrics) == ({"seed": 1}, {"clips": 2.0})
    assert (execution.key_parts, execution.original_id) == ({}, None)
    (artifact,) = rows(store, Artifact)
    assert (artifact.id, artifact.uri, artifact.created) == (3, "/somewhere", then)
    assert [(e.execution_id, e.artifact_id, e.name) for e in rows(store, Event)] == [
        (5, 3, "schema")
    ]
    cached = store.find_cached("key")
    assert cached is not None
    assert cached.outputs["schema"].id == 3
    assert store.begin_run("try", {}) == 8
    store.close()


def test_a_migrated_database_is_as_a_new_one(tmp_path):
    make_schema_1(tmp_path)
    LineageStore.at(tmp_path).close()
    assert difference(tmp_path) == []
    (tmp_path / "new").mkdir()
    LineageStore.at(tmp_path / "new").close()
    assert difference(tmp_path / "new") == []


def test_a_migration_that_is_cut_short_is_done_the_next_time(tmp_path, monkeypatch):
    make_schema_1(tmp_path)
    monkeypatch.setattr("pipeline.lineage.migrations.versions.v2.sa.UniqueConstraint", None)
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        before = list(connection.iterdump())
    with pytest.raises(TypeError):
        LineageStore.at(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        assert list(connection.iterdump()) == before
    monkeypatch.undo()
    LineageStore.at(tmp_path).close()
    assert difference(tmp_path) == []


def test_a_database_of_a_newer_schema_is_refused_and_left_alone(tmp_path):
    LineageStore.at(tmp_path).close()
    set_version(tmp_path, "99")
    for _ in range(2):
        with pytest.raises(UserError, match=r"lineage\.db: holds lineage of schema 99.*newer"):
            LineageStore.at(tmp_path)


def test_alembic_is_imported_only_to_migrate(tmp_path):
    program = """
import sys
from pathlib import Path
from pipeline.lineage.store import LineageStore
for _ in range(2):
    LineageStore.at(Path(sys.argv[1])).close()
sys.exit(any(name.partition(".")[0] == "alembic" for name in sys.modules))
"""
    assert run_python(program, tmp_path) == 0


@pytest.mark.parametrize("there", ["nothing", "schema 1"])
def test_several_processes_may_open_it_first(tmp_path, there):
    if there == "schema 1":
        make_schema_1(tmp_path)
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(3)
    running = [fork.Process(target=open_at_once, args=(barrier, tmp_path)) for _ in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0, 0]
    store = LineageStore.at(tmp_path)
    first = [c for c in rows(store, Context) if c.recipe == "first"]
    assert [c.state for c in first] == ["complete"] * 3
    store.close()
    assert difference(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["a?b", "a#b", "100%", "%20", "a b", "ä", "sqlite:", "x?mode=ro&y"]
)
def test_a_root_may_have_any_name(tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    LineageStore.at(root).close()
    assert [path.name for path in root.iterdir()] == [DATABASE]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_no_database_is_named(tmp_path):
    (tmp_path / DATABASE).write_text("Dear diary, " * 1000)
    with pytest.raises(UserError, match=r"lineage\.db: file is not a database: check"):
        LineageStore.at(tmp_path)
    assert (tmp_path / DATABASE).read_text().startswith("Dear diary")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere/lineage\.db: unable to open database file"):
        LineageStore.at(tmp_path / "nowhere")


def test_a_full_disk_is_named_and_what_was_recorded_stays(tmp_path):
    store = LineageStore.at(tmp_path)
    store.begin_run("try", {})
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserError, match=r"lineage\.db: database or disk is full: .*room"):
        store.begin_run("try", {"long": "x" * 100_000})
    assert [c.id for c in rows(store, Context)] == [1]
    store.close()


def test_a_reader_does_not_wait_for_a_writer(tmp_path):
    store = LineageStore.at(tmp_path)
    assert store.begin_run("try", {}) == 1
    writer = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE context SET state = 'failed'")
    with sqlite3.connect(tmp_path / DATABASE, timeout=0) as reader:
        assert reader.execute("SELECT state FROM context").fetchall() == [("running",)]
    writer.execute("COMMIT")
    writer.close()
    assert store.latest_output("try", "Schema") is None
    store.close()


def test_a_process_that_is_killed_leaves_what_it_recorded(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from sqlalchemy.orm import Session
from pipeline.lineage.schema import Context
from pipeline.lineage.store import LineageStore
store = LineageStore.at(Path(sys.argv[1]))
store.begin_run("try", {"a": "b"})
with store.write() as session:
    session.get_one(Context, 1).state = "complete"
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run_python(program, tmp_path) == -signal.SIGKILL
    store = LineageStore.at(tmp_path)
    assert [(c.state, json.dumps(c.environment)) for c in rows(store, Context)] == [
        ("running", '{"a": "b"}')
    ]
    store.close()


def test_a_broken_constraint_is_not_taken_for_the_database_s_fault(tmp_path):
    store = LineageStore.at(tmp_path)
    with pytest.raises(sa.exc.IntegrityError):
        store.begin_execution(41, "Step", "Step", "key", {}, {}, {})
    store.close()

"""The lineage store: what ran, what it took and made, and what a later run finds of it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from pipeline.lineage.schema import Artifact, Context, Event, Execution
from pipeline.lineage.store import LineageStore, RunState
from tests.fixtures.lineage_rows import rows


@pytest.fixture
def store(tmp_path):
    store = LineageStore.at(tmp_path)
    yield store
    store.close()


def made(
    store: LineageStore,
    folder: Path,
    *,
    recipe: str = "try",
    type_: str = "Schema",
    state: RunState | None = "complete",
    source: Path | None = None,
) -> Path:
    """A run of one execution that took `source` and made an artifact at `folder`."""
    folder.mkdir(parents=True)
    run = store.begin_run(recipe, {"python": "3.11"})
    inputs = {}
    if source is not None:
        inputs["recordings"] = store.add_external("Recordings", source, "digest of it")
    execution = store.begin_execution(run, "Step", "Step", "key", {"seed": 1}, inputs)
    store.end_execution(execution, {"clips": 3.0}, {"schema": (type_, folder, "ab" * 32)})
    if state is not None:
        store.end_run(run, state)
    return folder


def test_a_run_is_recorded_with_what_it_took_and_made(store, tmp_path):
    folder = made(store, tmp_path / "out", source=tmp_path / "data")
    (context,) = rows(store, Context)
    assert (context.recipe, context.state) == ("try", "complete")
    assert context.environment == {"python": "3.11"}
    assert context.finished is not None
    assert context.finished >= context.started
    (execution,) = rows(store, Execution)
    assert (execution.context_id, execution.state, execution.cache_key) == (
        context.id,
        "complete",
        "key",
    )
    assert (execution.parameters, execution.metrics) == ({"seed": 1}, {"clips": 3.0})
    artifacts = {artifact.id: artifact.uri for artifact in rows(store, Artifact)}
    assert [
        (e.execution_id, e.direction, e.name, artifacts[e.artifact_id]) for e in rows(store, Event)
    ] == [
        (execution.id, "input", "recordings", str(tmp_path / "data")),
        (execution.id, "output", "schema", str(folder)),
    ]


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_an_execution_that_did_not_finish_is_told_apart(store, state):
    run = store.begin_run("try", {})
    execution = store.begin_execution(run, "Step", "Step", "key", {}, {})
    assert [e.state for e in rows(store, Execution)] == ["running"]
    store.fail_execution(execution, state)
    store.end_run(run, state)
    assert [e.state for e in rows(store, Execution)] == [state]
    assert [c.state for c in rows(store, Context)] == [state]


def test_the_latest_output_is_that_of_the_last_complete_run(store, tmp_path):
    assert store.latest_output("try", "Schema") is None
    made(store, tmp_path / "first")
    newest = made(store, tmp_path / "second")
    for state in ("refused", "failed", "interrupted", None):
        made(store, tmp_path / str(state), state=state)
    made(store, tmp_path / "other recipe", recipe="other")
    made(store, tmp_path / "other type", type_="Statistics")
    assert store.latest_output("try", "Schema") == newest


def test_an_output_that_was_removed_is_passed_over(store, tmp_path):
    older = made(store, tmp_path / "first")
    made(store, tmp_path / "second").rmdir()
    assert store.latest_output("try", "Schema") == older
    older.rmdir()
    assert store.latest_output("try", "Schema") is None


def test_the_latest_output_of_a_source_is_of_runs_on_that_folder(store, tmp_path):
    ours = made(store, tmp_path / "first", source=tmp_path / "ours")
    made(store, tmp_path / "second", source=tmp_path / "theirs")
    made(store, tmp_path / "third")
    assert store.latest_output("try", "Schema", source=tmp_path / "ours") == ours
    assert store.latest_output("try", "Schema", source=tmp_path / "nobody's") is None


def test_a_folder_from_outside_is_one_artifact_until_its_content_changes(store, tmp_path):
    first = store.add_external("Recordings", tmp_path, "a")
    assert store.add_external("Recordings", tmp_path, "a") == first
    assert store.add_external("Recordings", tmp_path, "b") != first
    assert store.add_external("Recordings", tmp_path / "moved", "a") != first


def test_a_store_is_there_after_it_was_closed(tmp_path):
    store = LineageStore.at(tmp_path)
    folder = made(store, tmp_path / "out")
    store.close()
    again = LineageStore.at(tmp_path)
    assert again.latest_output("try", "Schema") == folder
    assert again.begin_run("try", {}) == 2
    again.close()


def test_a_writer_waits_for_another_one(store, tmp_path):
    other = sqlite3.connect(tmp_path / "lineage.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, other.execute, ["COMMIT"]).start()
    assert store.begin_run("try", {}) == 1
    other.close()

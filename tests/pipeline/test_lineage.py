"""The lineage store: what ran, what it took and made, and what a later run finds of it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from pipeline.lineage.past import Taken
from pipeline.lineage.schema import Artifact, Context, Event, Execution
from pipeline.lineage.store import CachedArtifact, LineageStore, RunState
from tests.fixtures.lineage_rows import rows

PARTS = {"type": "Step", "parameters": {"seed": 1}, "inputs": {}, "code": "c0de", "environment": {}}


@pytest.fixture
def store(any_store):
    return any_store


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
    execution = store.begin_execution(run, "Step", "Step", "key", PARTS, {"seed": 1}, inputs)
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
    assert execution.key_parts == PARTS
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
    execution = store.begin_execution(run, "Step", "Step", "key", {}, {}, {})
    assert [e.state for e in rows(store, Execution)] == ["running"]
    store.fail_execution(execution, state)
    store.end_run(run, state)
    assert [e.state for e in rows(store, Execution)] == [state]
    assert [c.state for c in rows(store, Context)] == [state]


def latest(store: LineageStore, source: Path | None = None) -> Path | None:
    found = store.latest_output("try", "Schema", source)
    return None if found is None else found.folder


def test_the_latest_output_is_that_of_the_last_complete_run(store, tmp_path):
    assert latest(store) is None
    made(store, tmp_path / "first")
    newest = made(store, tmp_path / "second")
    for state in ("refused", "failed", "interrupted", None):
        made(store, tmp_path / str(state), state=state)
    made(store, tmp_path / "other recipe", recipe="other")
    made(store, tmp_path / "other type", type_="Statistics")
    assert latest(store) == newest


def test_an_output_that_was_removed_is_passed_over(store, tmp_path):
    older = made(store, tmp_path / "first")
    made(store, tmp_path / "second").rmdir()
    assert latest(store) == older
    older.rmdir()
    assert latest(store) is None


def test_the_newest_run_is_that_of_the_recipe(store):
    assert store.newest_run("tiny") == 0
    run = store.begin_run("tiny", {})
    store.begin_run("other", {})
    assert store.newest_run("tiny") == run


def test_the_latest_output_of_a_source_is_of_runs_on_that_folder(store, tmp_path):
    ours = made(store, tmp_path / "first", source=tmp_path / "ours")
    made(store, tmp_path / "second", source=tmp_path / "theirs")
    made(store, tmp_path / "third")
    assert latest(store, source=tmp_path / "ours") == ours
    assert latest(store, source=tmp_path / "nobody's") is None


def test_one_may_look_back_at_a_run_that_took_something_else(store, tmp_path):
    def looked_back(digest: str) -> Path | None:
        other_than = Taken(component="Step", input="recordings", digest=digest)
        found = store.latest_output("try", "Schema", other_than=other_than)
        return None if found is None else found.folder

    assert looked_back("a") is None
    first = made(store, tmp_path / "first", source=tmp_path / "a")
    (digest,) = {a.digest for a in rows(store, Artifact) if a.uri == str(tmp_path / "a")}
    assert looked_back(digest) is None
    assert looked_back("another") == first
    made(store, tmp_path / "second", source=tmp_path / "a")
    assert looked_back(digest) is None
    third = made(store, tmp_path / "third", state="complete")  # took nothing at all
    assert looked_back(digest) is None
    assert latest(store) == third


def taken(store: LineageStore, *, recipe: str = "try", state: RunState = "complete") -> None:
    """A run whose one execution found "key" in the cache."""
    run = store.begin_run(recipe, {})
    cached = store.find_cached("key")
    assert cached is not None
    store.record_hit(run, "Step", "Step", cached, "key", PARTS, {"seed": 1}, {})
    store.end_run(run, state)


def test_the_cache_gives_the_newest_complete_execution_of_a_key(store, tmp_path):
    assert store.find_cached("key") is None
    made(store, tmp_path / "first")
    newest = made(store, tmp_path / "second", state="refused")
    run = store.begin_run("try", {})
    begun = store.begin_execution(run, "Step", "Step", "key", PARTS, {}, {})
    cached = store.find_cached("key")
    assert cached is not None
    assert cached.metrics == {"clips": 3.0}
    (artifact,) = rows(store, Artifact)[1:]
    assert cached.outputs == {
        "schema": CachedArtifact(id=artifact.id, type="Schema", folder=newest, digest="ab" * 32)
    }
    store.fail_execution(begun, "failed")
    assert store.find_cached("key") == cached
    assert store.find_cached("another key") is None


def test_a_hit_is_an_execution_that_has_its_original_s_outputs(store, tmp_path):
    made(store, tmp_path / "first")
    source = store.add_external("Recordings", tmp_path / "data", "digest")
    run = store.begin_run("try", {})
    cached = store.find_cached("key")
    assert cached is not None
    hit = store.record_hit(
        run, "Other", "Step", cached, "key", PARTS, {"seed": 1, "threads": 2}, {"data": source}
    )
    first, second = rows(store, Execution)
    assert (second.id, second.state, second.original_id) == (hit, "cached", first.id)
    assert (second.component, second.key_parts) == ("Other", PARTS)
    assert (second.parameters, second.metrics) == ({"seed": 1, "threads": 2}, first.metrics)
    assert second.finished is not None
    (made_one,) = cached.outputs.values()
    assert [
        (e.direction, e.name, e.artifact_id) for e in rows(store, Event) if e.execution_id == hit
    ] == [("input", "data", source), ("output", "schema", made_one.id)]
    assert store.find_cached("key") == cached  # the original, whose outputs it has


def test_the_newest_artifact_is_that_of_the_newest_run_also_after_a_hit(store, tmp_path):
    first = made(store, tmp_path / "first")
    changed = tmp_path / "changed"
    changed.mkdir()
    run = store.begin_run("try", {})
    execution = store.begin_execution(run, "Step", "Step", "new key", PARTS, {}, {})
    store.end_execution(execution, {}, {"schema": ("Schema", changed, "cd" * 32)})
    store.end_run(run, "complete")
    assert latest(store) == changed
    taken(store, state="failed")
    assert latest(store) == changed
    taken(store)
    assert latest(store) == first


def test_the_latest_execution_is_what_the_component_did_last(store, tmp_path):
    assert store.latest_execution("try", "Step") is None
    first = made(store, tmp_path / "first")
    made(store, tmp_path / "elsewhere", recipe="other")
    run = store.begin_run("try", {})
    parts = {**PARTS, "code": "changed"}
    store.begin_execution(run, "Step", "Step", "unfinished", parts, {}, {})
    past = store.latest_execution("try", "Step")
    assert past is not None
    assert (past.cache_key, past.key_parts, past.type) == ("key", PARTS, "Step")
    assert past.outputs["schema"].folder == first
    assert store.latest_execution("try", "Step", before_run=1) is None
    assert store.latest_execution("try", "Another") is None

    second = made(store, tmp_path / "second", state="failed")
    past = store.latest_execution("try", "Step")
    assert past is not None
    assert past.outputs["schema"].folder == second
    past = store.latest_execution("try", "Step", before_run=3)
    assert past is not None
    assert past.outputs["schema"].folder == first
    taken(store)
    past = store.latest_execution("try", "Step")
    assert past is not None
    assert past.outputs["schema"].folder == second


def test_what_a_dead_process_left_running_is_marked(store, tmp_path):
    made(store, tmp_path / "done")
    for recipe in ("try", "other"):
        run = store.begin_run(recipe, {})
        store.begin_execution(run, "Step", "Step", "key", {}, {}, {})
    store.abandon_running("try")
    assert [(c.recipe, c.state) for c in rows(store, Context)] == [
        ("try", "complete"),
        ("try", "interrupted"),
        ("other", "running"),
    ]
    assert [e.state for e in rows(store, Execution)] == ["complete", "interrupted", "running"]
    assert rows(store, Context)[1].finished is not None
    store.abandon_running("try")
    assert [c.state for c in rows(store, Context)] == ["complete", "interrupted", "running"]


def test_roots_that_share_a_database_keep_their_recipes_apart(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    ours, theirs = LineageStore(url, "ours"), LineageStore(url, "theirs")
    theirs.begin_run("try", {})
    first = made(ours, tmp_path / "first")
    made(theirs, tmp_path / "second")
    ours.abandon_running("try")
    assert rows(ours, Context)[0].state == "running"
    assert latest(ours) == first
    past = ours.latest_execution("try", "Step")
    assert past is not None
    assert past.outputs["schema"].folder == first
    ours.close()
    theirs.close()


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
    assert latest(again) == folder
    assert again.begin_run("try", {}) == 2
    again.close()


def test_a_writer_waits_for_another_one(tmp_path):
    store = LineageStore.at(tmp_path)
    other = sqlite3.connect(tmp_path / "lineage.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, other.execute, ["COMMIT"]).start()
    assert store.begin_run("try", {}) == 1
    other.close()
    store.close()

"""``gc``: what nobody needs goes, what anybody needs stays, also when it is killed half way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline import digests, removal, root_lock
from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.digests import DigestMemory
from pipeline.lineage.schema import Artifact
from pipeline.lineage.store import LineageStore
from pipeline.memory import MEMORY
from tests.fixtures.lineage_rows import rows
from tests.fixtures.lineage_runs import Recorder, sha, whole_run

NO = "no/zoe_1.wav"


@pytest.fixture
def store(tmp_path):
    store = LineageStore.at(tmp_path)
    yield store
    store.close()


@pytest.fixture
def gc(tmp_path, capsys, monkeypatch):
    """Runs it; gives what it says as JSON."""
    monkeypatch.delenv("EDGE_LINEAGE_URL", raising=False)

    def run(*words: str) -> dict:
        assert main(parse(["pipeline", "gc", *words, "--root", str(tmp_path), "--json"])) == 0
        return json.loads(capsys.readouterr().out)

    return run


def refused_runs(store: LineageStore, root: Path, count: int, first: int = 0) -> list[Recorder]:
    """Runs on different data that released nothing, and then one complete one."""
    runs = [
        whole_run(store, root, [f"no/ann_{n}.wav"], epochs=n, state="refused")
        for n in range(first, first + count)
    ]
    whole_run(store, root, [NO], epochs=99)
    return runs


def there(run: Recorder) -> set[str]:
    """The steps of a run whose artifacts are there."""
    return {path.parent.parent.name for path in run.folder.glob("*/*/lineage.json")}


ALL = {"ExampleGen", "Transform", "Trainer", "Evaluator", "Packager"}


def test_it_only_says_what_would_go_unless_told_to_delete(store, tmp_path, gc):
    (old, _) = refused_runs(store, tmp_path, 2)
    before = sorted(tmp_path.rglob("*"))
    for words in ([], ["--dry-run"]):
        plan = gc(*words)
        assert plan["deleted"] is False
        assert {a["run"] for a in plan["artifacts"]} == {1, 2}
        assert plan["kept_runs"] == [3]
    assert [p for p in sorted(tmp_path.rglob("*")) if p.name != ".lock"] == before
    assert there(old) == ALL

    plan = gc("--delete")
    assert plan["deleted"] is True
    assert plan["bytes"] > 0
    assert sorted(p.name for p in (tmp_path / "try" / "runs").iterdir()) == ["000003"]
    removed = {a["id"] for a in plan["artifacts"]}
    assert {a.id for a in rows(store, Artifact) if a.removed is not None} == removed
    assert gc("--delete")["artifacts"] == []


def test_what_was_remembered_of_a_removed_folder_goes_with_it(store, tmp_path, gc, monkeypatch):
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)  # also what changed a moment ago is remembered
    first, second = refused_runs(store, tmp_path, 1)[0], tmp_path / "try" / "runs" / "000002"
    memory = DigestMemory(tmp_path / MEMORY)
    for folder in (first.folder / "Trainer" / "model", second / "Trainer" / "model"):
        memory.artifact_digest(folder)
    assert len(list((tmp_path / MEMORY).iterdir())) == 2
    gc("--delete")
    assert len(list((tmp_path / MEMORY).iterdir())) == 1


def test_the_newest_complete_runs_and_all_after_them_stay(store, tmp_path, gc):
    old = whole_run(store, tmp_path, ["no/ann_1.wav"], epochs=1, state="refused")
    kept = [Recorder(store, tmp_path) for _ in range(2)]
    for number, run in enumerate(kept):
        run.external("data", tmp_path / "data", f"data {number}")
        run.step("ExampleGen", {"recordings": "data"}, "examples", "Examples")
        run.end("complete")
    stopped = Recorder(store, tmp_path)
    stopped.external("data", tmp_path / "data", "data 3")
    stopped.step("ExampleGen", {"recordings": "data"}, "examples", "Examples")
    stopped.end("interrupted")
    assert gc("--keep", "2", "--delete")["kept_runs"] == [2, 3, 4]
    assert there(old) == set()
    assert [there(run) for run in (*kept, stopped)] == [{"ExampleGen"}] * 3
    assert gc("--keep", "1", "--delete")["kept_runs"] == [3, 4]
    assert [there(run) for run in (*kept, stopped)] == [set(), {"ExampleGen"}, {"ExampleGen"}]


def test_what_a_kept_run_took_from_the_cache_stays(store, tmp_path, gc):
    first = whole_run(store, tmp_path, [NO], epochs=1, state="refused")
    whole_run(store, tmp_path, [NO], epochs=2, state="refused")
    whole_run(store, tmp_path, [NO], epochs=3)  # takes the data's steps from run 1
    gc("--keep", "1", "--delete")
    assert there(first) == {"ExampleGen", "Transform"}


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_release_keeps_what_it_follows_from(store, tmp_path, gc, monkeypatch, batch):
    for module in ("needs", "walk"):
        monkeypatch.setattr(f"pipeline.lineage.{module}._BATCH", batch)
    releases = [
        whole_run(store, tmp_path, [f"no/ann_{n}.wav"], epochs=n, version=f"1.0.{n}")
        for n in range(4)
    ]
    assert gc("--keep", "1", "--delete")["artifacts"] == []
    gc("--keep", "1", "--keep-releases", "2", "--delete")
    assert [there(run) for run in releases] == [
        {"Packager", "Pusher"},
        {"Packager", "Pusher"},
        ALL | {"Pusher"},
        ALL | {"Pusher"},
    ]


@pytest.mark.parametrize("place", ["latest.bundle", "try/latest.bundle", "try/refused.bundle"])
def test_a_bundle_in_use_keeps_what_it_follows_from(store, tmp_path, gc, place):
    used, other = refused_runs(store, tmp_path, 2, first=1)
    shutil.copyfile(used.folder / "Packager" / "bundle" / "candidate.bundle", tmp_path / place)
    gc("--keep", "1", "--delete")
    assert there(used) == ALL
    assert there(other) == set()


def test_folders_from_outside_and_of_other_roots_stay(store, tmp_path, gc):
    refused_runs(store, tmp_path, 1)
    outside = tmp_path.parent / f"{tmp_path.name} outside" / "try" / "runs" / "000001"
    elsewhere = Recorder(store, outside.parents[2], "other")
    elsewhere.external("data", tmp_path / "try", "all of it")
    elsewhere.step("ExampleGen", {"recordings": "data"}, "examples", "Examples")
    elsewhere.end("refused")
    whole_run(store, tmp_path, [NO], epochs=98, recipe="other")
    plan = gc("--keep", "1", "--delete")
    assert {a["run"] for a in plan["artifacts"]} == {1}
    assert there(elsewhere) == {"ExampleGen"}


def test_a_folder_that_is_a_link_is_left_alone(store, tmp_path, gc):
    (old,) = refused_runs(store, tmp_path, 1)
    precious = tmp_path / "precious"
    (old.folder / "Trainer" / "model").rename(precious)
    (old.folder / "Trainer" / "model").symlink_to(precious)
    gc("--delete")
    assert (precious / "lineage.json").exists()


def test_a_removal_that_was_killed_is_finished_by_the_next(store, tmp_path, gc, monkeypatch):
    (old,) = refused_runs(store, tmp_path, 1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for moment in ("mark_removed", "shutil.rmtree"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pipeline.removal.{moment}", killed)
            with pytest.raises(KeyboardInterrupt):
                removal.remove(tmp_path, store, [(1 + 1, old.folder / "ExampleGen" / "examples")])
    assert there(old) == ALL - {"ExampleGen"}
    gc("--delete")
    assert there(old) == set()
    assert list((tmp_path / "try").glob(".removed")) == []
    assert all(a.removed for a in rows(store, Artifact) if a.uri.startswith(str(old.folder)))


def test_lineage_still_answers_for_what_was_removed(store, tmp_path, gc, capsys):
    (old,) = refused_runs(store, tmp_path, 1)
    bundle = (old.folder / "Packager" / "bundle" / "candidate.bundle").read_text()
    gc("--delete")
    words = ["lineage", sha(bundle), "--root", str(tmp_path), "--json"]
    assert main(parse(["pipeline", *words])) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["recordings"] == 1
    assert account["artifact"]["removed"] is not None


def test_what_a_removed_artifact_was_made_of_is_not_taken_from_the_cache(store, tmp_path, gc):
    (old,) = refused_runs(store, tmp_path, 1)
    gc("--delete")
    again = whole_run(store, tmp_path, ["no/ann_0.wav"], epochs=0, state="refused")
    assert there(again) == ALL
    assert there(old) == set()


def test_a_run_under_way_is_not_disturbed(store, tmp_path, capsys):
    refused_runs(store, tmp_path, 1)
    before = rows(store, Artifact)
    with root_lock.hold(tmp_path):
        assert main(parse(["pipeline", "gc", "--delete", "--root", str(tmp_path)])) == 1
    assert "a run is under way there" in capsys.readouterr().err
    assert [a.removed for a in rows(store, Artifact)] == [a.removed for a in before]


def test_room_that_hard_links_share_is_counted_once(tmp_path):
    one, two, kept = tmp_path / "one", tmp_path / "two", tmp_path / "kept"
    for folder in (one, two, kept):
        folder.mkdir()
    (one / "shared by both").write_bytes(b"x" * 1000)
    os.link(one / "shared by both", two / "shared by both")
    (one / "kept").write_bytes(b"x" * 10)
    os.link(one / "kept", kept / "kept")
    (two / "alone").write_bytes(b"x" * 100)
    assert removal.sizes([one, two]) == ([1010, 1100], 1100)


@pytest.mark.parametrize("words", [["--keep", "0"], ["--keep", "x"], ["--keep-releases", "0"]])
def test_nothing_can_be_kept_by_mistake(tmp_path, capsys, words):
    with pytest.raises(SystemExit, match="2"):
        parse(["pipeline", "gc", *words])
    assert "--keep" in capsys.readouterr().err

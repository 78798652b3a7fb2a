"""From a bundle back to its recordings, and from a recording forward to every release that holds it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from components.base import UserError
from pipeline.lineage import account, contents
from pipeline.lineage.find import find, speaker
from pipeline.lineage.schema import Artifact, Payload, Recording, Release, Shard, ShardRecording
from pipeline.lineage.store import LineageStore
from pipeline.lineage.walk import list_recordings
from tests.fixtures.lineage_rows import rows
from tests.fixtures.lineage_runs import member, sha, whole_run

FIRST = ["no/ann_1.wav", "no/bob_1.wav", "yes/ann_1.wav", "yes/bob_1.wav"]
SECOND = [*FIRST, "yes/cid_1.wav"]


@pytest.fixture
def store(any_store):
    return any_store


def back(store: LineageStore, target: object) -> dict:
    with store.read() as session:
        found = find(session, str(target))
        assert found.artifact is not None
        account_ = account.backward(session, found.artifact)
    assert json.loads(json.dumps(account_)) == account_
    return account_


def onward(store: LineageStore, target: object) -> dict:
    with store.read() as session:
        account_ = account.forward(session, find(session, str(target)))
    assert json.loads(json.dumps(account_)) == account_
    return account_


def components(account_: dict) -> list[tuple[int, str]]:
    return [(e["run"], e["component"]) for e in account_["executions"]]


CHAIN = ["ExampleGen", "Transform", "Trainer", "Evaluator", "Packager"]


def test_a_bundle_file_leads_back_to_what_it_was_made_of(store, tmp_path):
    first = whole_run(store, tmp_path, FIRST)
    whole_run(store, tmp_path, FIRST, epochs=20)
    shutil.copyfile(
        first.folder / "Packager" / "bundle" / "candidate.bundle", tmp_path / "field.bundle"
    )
    shutil.rmtree(tmp_path / "try")  # the folders are not needed
    found = back(store, tmp_path / "field.bundle")
    assert found["artifact"]["id"] == first.ids["bundle"]
    assert components(found) == [(1, name) for name in CHAIN]
    assert found["recordings"] == 4
    assert found["metrics"] == {"Transform.clips": 4.0, "Evaluator.accuracy": 0.9}
    assert found["seeds"] == {f"{name}.seed": 1 for name in CHAIN}
    trainer = found["executions"][2]
    assert (trainer["parameters"]["epochs"], trainer["code"]) == (10, sha("Trainer"))
    assert trainer["inputs"]["features"]["id"] == first.ids["features"]
    assert [(r["name"], r["version"]) for r in found["releases"]] == [("try", "1.0.0")]


def test_the_history_that_a_step_looks_at_is_no_ancestry(store, tmp_path):
    whole_run(store, tmp_path, FIRST)
    second = whole_run(store, tmp_path, ["no/dan_1.wav"], epochs=20, version="1.0.1")
    found = back(store, second.ids["bundle"])
    assert "last_release" in found["executions"][3]["inputs"]
    assert {run for run, _ in components(found)} == {2}
    assert found["recordings"] == 1


def test_what_was_taken_from_the_cache_leads_back_to_the_run_that_made_it(store, tmp_path):
    whole_run(store, tmp_path, FIRST)
    second = whole_run(store, tmp_path, FIRST, epochs=20, version="1.0.1")
    found = back(store, second.ids["bundle"])
    assert components(found) == list(zip([1, 1, 2, 2, 2], CHAIN, strict=True))
    assert {e["state"] for e in found["executions"]} == {"complete"}
    assert found["recordings"] == 4


def test_each_way_to_name_a_thing_finds_it(store, tmp_path):
    run = whole_run(store, tmp_path, FIRST)
    bundle = run.folder / "Packager" / "bundle"
    content = (bundle / "candidate.bundle").read_text()
    for name in (bundle, bundle / "candidate.bundle", bundle / "lineage.json", sha(content)[:16]):
        assert back(store, name)["artifact"]["id"] == run.ids["bundle"], name
    assert back(store, "try@1.0.0")["artifact"]["id"] == run.ids["release"]
    assert back(store, run.ids["model"])["artifact"]["type"] == "Model"
    assert back(store, tmp_path / "data")["artifact"]["type"] == "Recordings"
    recording = tmp_path / "renamed.wav"
    recording.write_text("no/bob_1.wav")  # whose content is its path
    for name in (recording, "no/bob_1.wav", f"{tmp_path}/data/no/bob_1.wav", sha("no/bob_1.wav")):
        assert [r["path"] for r in onward(store, name)["recordings"]] == ["no/bob_1.wav"], name


def test_what_was_never_recorded_is_said_to_be_unknown(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole_run(store, tmp_path, FIRST)
    nowhere = [
        "nothing",
        "99",
        "try@9.9.9",
        "ab" * 32,
        "maybe/bob_1.wav",
        "",
        "/",
        "%",
        "١",
        "0x10",
    ]
    for target in nowhere:
        with store.read() as session, pytest.raises(UserError, match="no run recorded it: name a"):
            find(session, target)


def test_a_recording_leads_forward_to_all_that_holds_it(store, tmp_path):
    whole_run(store, tmp_path, FIRST)
    second = whole_run(store, tmp_path, SECOND, version="1.0.1")
    third = whole_run(store, tmp_path, ["no/dan_1.wav"], version="2.0.0", recipe="other")
    found = onward(store, "yes/cid_1.wav")
    assert [(r["path"], r["speaker"]) for r in found["recordings"]] == [("yes/cid_1.wav", "cid")]
    assert [r["version"] for r in found["releases"]] == ["1.0.1"]
    assert [b["run"] for b in found["bundles"]] == [2]
    assert {a["run"] for a in found["artifacts"]} == {2}
    assert found["retrain"] == [
        {"recipe": "try", "root": "", "run": 2, "bundle": second.ids["bundle"]}
    ]
    found = onward(store, "no/ann_1.wav")
    assert [r["version"] for r in found["releases"]] == ["1.0.0", "1.0.1"]
    found = onward(store, third.ids["features"])
    assert [a["type"] for a in found["artifacts"]] == [
        "Features",
        "Model",
        "Evaluation",
        "Bundle",
        "Release",
    ]


def test_a_speaker_who_was_deleted_is_in_no_model_to_retrain(store, tmp_path):
    whole_run(store, tmp_path, SECOND)
    without = [path for path in SECOND if "ann" not in path]
    with store.read() as session:
        before = account.forward(session, speaker(session, "ann"))
    assert [r["path"] for r in before["recordings"]] == ["no/ann_1.wav", "yes/ann_1.wav"]
    assert [r["run"] for r in before["retrain"]] == [1]
    whole_run(store, tmp_path, without, version="1.0.1")
    with store.read() as session:
        after = account.forward(session, speaker(session, "ann"))
        assert after["retrain"] == []
        assert after["releases"] == before["releases"]
        with pytest.raises(UserError, match="--speaker eve: no run has taken"):
            speaker(session, "eve")


def test_a_hit_counts_as_holding_the_recording(store, tmp_path):
    whole_run(store, tmp_path, FIRST)
    whole_run(store, tmp_path, SECOND, version="1.0.1")
    whole_run(store, tmp_path, FIRST)  # back to the first data, all of it from the cache
    assert onward(store, "no/ann_1.wav")["retrain"][0]["run"] == 3
    assert onward(store, "yes/cid_1.wav")["retrain"] == []


def test_members_of_a_shard_are_stored_once(store, tmp_path):
    whole_run(store, tmp_path, FIRST)
    assert [s.recordings for s in rows(store, Shard)] == [2, 2]
    whole_run(store, tmp_path, SECOND, version="1.0.1")  # one shard has changed, one has not
    assert [s.recordings for s in rows(store, Shard)] == [2, 2, 3]
    assert sorted(r.path for r in rows(store, Recording)) == sorted(SECOND)
    with store.read() as session:
        assert session.query(ShardRecording).count() == 7
        artifacts = [a.id for a in session.query(Artifact).filter_by(type="Examples")]
        listed = list_recordings(session, artifacts)
        assert [r.path for r in listed] == sorted(SECOND)
        assert listed[0].digest == member(SECOND[0]).digest


def test_a_shard_is_known_whole_or_not_at_all(store, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(contents, "ShardRecording", None)
        with pytest.raises(AttributeError):
            whole_run(store, tmp_path, FIRST)
    assert rows(store, Shard) == []
    shutil.rmtree(tmp_path / "try")
    store.abandon_running("try")
    whole_run(store, tmp_path, FIRST)
    assert onward(store, "no/ann_1.wav")["retrain"][0]["run"] == 2


def test_files_of_bundles_and_releases_are_recorded(store, tmp_path):
    run = whole_run(store, tmp_path, FIRST)
    content = (run.folder / "Packager" / "bundle" / "candidate.bundle").read_bytes()
    with store.read() as session:
        (payload,) = session.query(Payload)
        (release,) = session.query(Release)
    assert (payload.artifact_id, payload.name) == (run.ids["bundle"], "candidate.bundle")
    assert payload.digest == release.digest == sha(content.decode())
    assert (release.artifact_id, release.name, release.version) == (
        run.ids["release"],
        "try",
        "1.0.0",
    )


def test_the_folder_of_recordings_is_not_taken_for_a_file_in_it(store, tmp_path):
    whole_run(store, tmp_path, FIRST)
    unknown = Path(tmp_path / "data" / "no" / "new_1.wav")
    unknown.parent.mkdir(parents=True)
    unknown.write_text("never seen")
    with store.read() as session, pytest.raises(UserError, match="no run recorded it"):
        find(session, str(unknown))

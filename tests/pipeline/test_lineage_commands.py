"""The commands that look at what was recorded, as a person uses them, on each kind of database."""

from __future__ import annotations

import json
import shutil

import pytest

from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.lineage.store import DATABASE, LineageStore
from tests.fixtures.lineage_runs import whole_run
from tests.fixtures.postgresql import new_schema

FIRST = ["no/ann_1.wav", "no/bob_1.wav", "yes/ann_1.wav", "yes/bob_1.wav"]
SECOND = [*FIRST, "yes/cid_1.wav"]


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Runs a command at the root that `recorded` filled; gives exit code, output and error."""
    monkeypatch.delenv("EDGE_LINEAGE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = main(parse(["pipeline", *map(str, words), "--root", str(tmp_path)]))
        except SystemExit as e:
            code = e.code
        done = capsys.readouterr()
        assert "Traceback" not in done.err
        return code, done.out, done.err

    return run


def done(command, *words: object) -> str:
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    return out


@pytest.fixture
def recorded(tmp_path):
    """Two runs: the second has one recording more and other epochs."""
    store = LineageStore.at(tmp_path)
    first = whole_run(store, tmp_path, FIRST)
    whole_run(store, tmp_path, SECOND, epochs=20, version="1.0.1")
    store.close()
    shutil.copyfile(
        first.folder / "Packager" / "bundle" / "candidate.bundle", tmp_path / "latest.bundle"
    )
    return tmp_path


def test_lineage_of_a_bundle_for_people_and_as_json(command, recorded):
    out = done(command, "lineage", recorded / "latest.bundle")
    for words in ("Bundle, artifact", "made of 4 recordings by 5 steps", "try 1.0.0", "Trainer"):
        assert words in out
    account = json.loads(done(command, "lineage", recorded / "latest.bundle", "--json"))
    assert account["recordings"] == 4
    assert [e["parameters"]["seed"] for e in account["executions"]] == [1] * 5
    assert account["metrics"]["Evaluator.accuracy"] == 0.9
    listed = done(command, "lineage", recorded / "latest.bundle", "--recordings").splitlines()
    assert [line.split("\t")[:3] for line in listed] == [
        [path, path.split("/")[0], path.split("/")[1][:3]] for path in FIRST
    ]


def test_lineage_of_a_recording_and_of_a_speaker(command, recorded):
    out = done(command, "lineage", "yes/cid_1.wav")
    assert "1.0.1" in out
    assert "1.0.0" not in out
    assert "train again: try, whose newest complete run 2 has them" in out
    account = json.loads(done(command, "lineage", "--speaker", "ann", "--json"))
    assert [r["path"] for r in account["recordings"]] == ["no/ann_1.wav", "yes/ann_1.wav"]
    assert [r["version"] for r in account["releases"]] == ["1.0.0", "1.0.1"]
    out = done(command, "lineage", recorded / "latest.bundle", "--forward")
    assert "nothing to train again" in out  # the newest run has another bundle


def test_runs_and_show(command, recorded):
    out = done(command, "runs")
    assert [line.split()[:3] for line in out.splitlines() if line.strip()[:1].isdigit()] == [
        ["2", "try", "complete"],
        ["1", "try", "complete"],
    ]
    (newest,) = json.loads(done(command, "runs", "--count", "1", "--json"))["runs"]
    assert (newest["run"], newest["steps"], newest["cached"]) == (2, 6, 0)
    assert newest["release"] == {"name": "try", "version": "1.0.1"}
    assert json.loads(done(command, "runs", "--recipe", "none", "--json")) == {"runs": []}
    assert "epochs=20" in done(command, "show", "latest")
    shown = json.loads(done(command, "show", "1", "--json"))
    assert (shown["run"], shown["recordings"]) == (1, 4)
    assert shown["executions"][2]["parameters"]["epochs"] == 10
    assert shown["executions"][5]["outputs"]["release"]["type"] == "Release"


def test_diff_says_what_differs_and_nothing_else(command, recorded):
    shown = json.loads(done(command, "diff", "1", "2", "--json"))
    assert shown["parameters"] == {
        "Trainer.epochs": [10, 20],
        "Pusher.version": ["1.0.0", "1.0.1"],
    }
    assert shown["data"]["recordings"] == [4, 5]
    assert [r["path"] for r in shown["data"]["added"]] == ["yes/cid_1.wav"]
    assert shown["data"]["removed"] == []
    assert list(shown["data"]["inputs"]) == ["ExampleGen.recordings", "Evaluator.last_release"]
    assert (shown["code"], shown["environment"]) == ({}, {})
    assert shown["metrics"]["Evaluator.accuracy"] == [0.9, 0.9]
    out = done(command, "diff", "1", "latest")
    for words in ("4 → 5: 1 added, 0 removed", "+ yes/cid_1.wav", "code: no difference"):
        assert words in out
    same = json.loads(done(command, "diff", "2", "2", "--json"))
    assert (same["parameters"], same["data"]["added"], same["data"]["removed"]) == ({}, [], [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lineage", "nothing.bundle"], "nothing.bundle: no run recorded it"),
        (["lineage", "--speaker", "eve"], "--speaker eve: no run has taken"),
        (["lineage"], "give a TARGET or a --speaker"),
        (["lineage", "1", "--speaker", "ann"], "give a TARGET or a --speaker"),
        (["show", "9"], "9: no run of that number: the newest is 2"),
        (["show", "-1"], "-1: no run of that number"),
        (["diff", "1", "x"], "x: no run of that number"),
    ],
)
def test_what_is_not_there_is_said(command, recorded, words, said):
    code, out, err = command(*words)
    assert (code != 0, out) == (True, "")
    assert said in err


@pytest.mark.parametrize(
    "words", [["runs"], ["show", "1"], ["diff", "1", "2"], ["lineage", "x"]], ids=str
)
def test_a_root_without_lineage_stays_without(command, tmp_path, words):
    code, _, err = command(*words)
    assert code == 1
    assert f"{DATABASE}: not there: run a recipe first" in err
    assert list(tmp_path.iterdir()) == []


def test_the_lineage_may_be_in_postgresql(command, tmp_path, postgresql, monkeypatch):
    with new_schema(postgresql) as url:
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        store = LineageStore(url, str(tmp_path))
        whole_run(store, tmp_path, FIRST)
        whole_run(store, tmp_path, SECOND, epochs=20, version="1.0.1")
        store.close()
        assert len(json.loads(done(command, "runs", "--lineage", text, "--json"))["runs"]) == 2
        monkeypatch.setenv("EDGE_LINEAGE_URL", text)
        account = json.loads(done(command, "lineage", "--speaker", "cid", "--json"))
        assert account["retrain"][0]["root"] == str(tmp_path)
        shown = json.loads(done(command, "diff", "1", "2", "--json"))
        assert [r["path"] for r in shown["data"]["added"]] == ["yes/cid_1.wav"]
    assert not (tmp_path / DATABASE).exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:s3cret@127.0.0.1:1/x", "PostgreSQL database x at 127.0.0.1:1"),
        ("postgresql://127.0.0.1:1/x?password=s3cret", "PostgreSQL database x at 127.0.0.1:1"),
        ("postgresql://127.0.0.1:1/x?pasword=s3cret", "invalid connection option"),
        ("postgresql://u:s3@cret@127.0.0.1:1/x", "write an @ in the user's name or password"),
        ("postgresql://u:s3cret@127.0.0.1:port/x", "write postgresql://"),
        ("mysql://u:s3cret@127.0.0.1/x", "not supported: write postgresql://"),
        ("s3cret", "no URL of a database"),
        ("sqlite://", "not supported"),
    ],
)
def test_a_url_that_leads_nowhere_is_an_error_without_its_password(command, recorded, url, said):
    code, out, err = command("runs", "--lineage", url)
    assert (code, out) == (1, "")
    assert said in err
    assert "s3" not in err
    assert "cret" not in err

"""OpenLineage events of a run: whole and in order in a file or at a collector, and never in a run's way."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time

import pytest

from components.base import UserError
from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.lineage.database import sqlite_url
from pipeline.lineage.openlineage_events import Events
from pipeline.lineage.schema import Context
from pipeline.lineage.store import DATABASE
from pipeline.lineage.telling import TellingStore
from tests.fixtures.lineage_rows import rows
from tests.fixtures.lineage_runs import Recorder, sha, whole_run

RECORDINGS = ["no/ann_1.wav", "yes/bob_1.wav"]
STEPS = ["ExampleGen", "Transform", "Trainer", "Evaluator", "Packager", "Pusher"]


def telling(root, target, warnings: list[str]) -> TellingStore:
    return TellingStore(sqlite_url(root / DATABASE), "", Events(str(target), warnings.append))


@pytest.fixture
def collector():
    """A collector: its address, the paths, keys and events that it was sent, and what it answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        got: list[tuple[str, str | None, dict]] = []
        answer = 201

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            Handler.got.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(Handler.answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_each_step_is_told_with_what_it_took_and_made(tmp_path):
    warnings: list[str] = []
    store = telling(tmp_path, tmp_path / "events.jsonl", warnings)
    run = whole_run(store, tmp_path, RECORDINGS)
    store.close()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    names = ["try", *(f"try.{step}" for step in STEPS for _ in range(2)), "try"]
    assert [event["job"]["name"] for event in events] == names
    assert [event["eventType"] for event in events] == [
        "START",
        *["START", "COMPLETE"] * len(STEPS),
        "COMPLETE",
    ]
    parents = {e["run"]["facets"]["parent"]["run"]["runId"] for e in events[1:-1]}
    assert parents == {events[0]["run"]["runId"]} == {events[-1]["run"]["runId"]}
    assert len({event["run"]["runId"] for event in events}) == 1 + len(STEPS)
    trained = events[6]
    assert trained["run"]["runId"] == events[5]["run"]["runId"]
    (taken,), (made,) = trained["inputs"], trained["outputs"]
    assert (taken["namespace"], taken["name"]) == (
        "file",
        str(run.folder / "Transform" / "features"),
    )
    assert made["name"] == str(run.folder / "Trainer" / "model")
    assert len(made["facets"]["version"]["datasetVersion"]) == 64
    facets = trained["run"]["facets"]
    parameters = {p["key"]: p["value"] for p in facets["executionParameters"]["parameters"]}
    assert parameters == {"seed": "1", "epochs": "10"}
    assert facets["edgeExecution"]["code"] == sha("Trainer")
    assert events[8]["run"]["facets"]["edgeExecution"]["metrics"] == {"accuracy": 0.9}
    assert warnings == []


def test_hits_failures_and_interruptions_are_told_apart(tmp_path):
    target = tmp_path / "events.jsonl"
    store = telling(tmp_path, target, [])
    whole_run(store, tmp_path, RECORDINGS)
    target.unlink()
    store.close()
    store = telling(tmp_path, target, [])
    whole_run(store, tmp_path, RECORDINGS, epochs=20, version="1.0.1")
    run = Recorder(store, tmp_path)
    for state in ("failed", "interrupted"):
        begun = store.begin_execution(run.run, state, "Step", "key", {}, {}, {})
        store.fail_execution(begun, state)
    store.end_run(run.run, "interrupted")
    store.close()
    events = [json.loads(line) for line in target.read_text().splitlines()]
    ended = {e["job"]["name"]: e for e in events if e["eventType"] != "START"}
    state = {
        name: e["run"]["facets"]["edgeExecution"]["state"]
        for name, e in ended.items()
        if "." in name
    }
    assert state["try.ExampleGen"] == "cached"
    assert state["try.Trainer"] == "complete"
    assert ended["try.ExampleGen"]["outputs"][0]["name"].endswith("000001/ExampleGen/examples")
    assert ended["try.failed"]["eventType"] == "FAIL"
    assert "failed" in ended["try.failed"]["run"]["facets"]["errorMessage"]["message"]
    assert ended["try.interrupted"]["eventType"] == ended["try"]["eventType"] == "ABORT"


def test_a_collector_gets_them_by_http(tmp_path, collector, monkeypatch):
    handler, url = collector
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "a key")
    store = telling(tmp_path, url, [])
    whole_run(store, tmp_path, RECORDINGS)
    store.close()
    assert {path for path, _, _ in handler.got} == {"/api/v1/lineage"}
    assert {key for _, key, _ in handler.got} == {"Bearer a key"}
    assert [event["eventType"] for _, _, event in handler.got].count("COMPLETE") == 7
    store = telling(tmp_path, f"{url}/somewhere/else", [])
    store.end_run(store.begin_run("try", {}), "complete")
    store.close()
    assert handler.got[-1][0] == "/somewhere/else"


def test_a_collector_that_refuses_is_warned_of_once_and_ends_no_run(tmp_path, collector):
    handler, url = collector
    handler.answer = 500
    warnings: list[str] = []
    store = telling(tmp_path, url, warnings)
    whole_run(store, tmp_path, RECORDINGS)
    assert [c.state for c in rows(store, Context)] == ["complete"]
    store.close()
    (warning,) = warnings
    assert warning.startswith(f"--openlineage {url}: no more events are sent: ")
    assert len(handler.got) == 1


def test_a_collector_that_is_dead_or_mute_costs_a_run_seconds(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for target in ("http://127.0.0.1:1", f"http://u:s3cret@127.0.0.1:{mute.getsockname()[1]}"):
            warnings: list[str] = []
            store = telling(tmp_path, target, warnings)
            started = time.monotonic()
            store.end_run(store.begin_run("try", {}), "complete")
            assert time.monotonic() - started < 20
            store.close()
            assert len(warnings) == 1
            assert "s3cret" not in warnings[0]


def test_a_file_that_cannot_be_written_any_more_ends_no_run(tmp_path):
    folder = tmp_path / "events"
    folder.mkdir()
    warnings: list[str] = []
    store = telling(tmp_path, folder / "events.jsonl", warnings)
    run = store.begin_run("try", {})
    (folder / "events.jsonl").unlink()
    folder.rmdir()
    store.end_run(run, "complete")
    store.close()
    assert len(warnings) == 1


@pytest.mark.parametrize("target", ["ftp://host/x", "http://", "nowhere/events.jsonl", "."])
def test_a_target_that_can_be_none_is_refused_before_anything_runs(tmp_path, target, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="--openlineage"):
        Events(target, print)


def test_run_takes_the_target(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("EDGE_LINEAGE_URL", raising=False)
    words = ["run", "keyword_spotting", "--root", str(tmp_path), "--openlineage", "ftp://host/x"]
    assert main(parse(["pipeline", *words])) == 1
    assert "--openlineage ftp://host/x: write a file or an http(s) URL" in capsys.readouterr().err
    assert not (tmp_path / "keyword_spotting").exists()

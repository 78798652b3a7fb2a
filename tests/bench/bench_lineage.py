"""Lineage in a store of a million artifacts, on SQLite and on PostgreSQL: ``make bench-lineage``.

The store holds the runs of a recipe of keyword spotting's shape over years of nights and experiments: 100,000
recordings in 20 shards, of which one changes with each new version of the data; on a version some dozens
of runs with other parameters, which take the steps that read the data from the cache; the 14 steps wired
as in the recipe, with parameters, key parts and metrics of a real run's form. It is loaded in bulk, which
is not measured.

What is measured: the walk from a bundle's digest to its account as JSON, in this process with a store
that is open, over bundles of all ages (the first one is asked with nothing in the database's own cache
but what the loading left there); the whole command, with interpreter start; and look-ups that every step
of a run does.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from pipeline.lineage import account
from pipeline.lineage.find import find
from pipeline.lineage.store import DATABASE, LineageStore
from tests.bench.table import TOP, Figure, publish
from tests.fixtures.postgresql import new_database

ARTIFACTS = 1_000_000
LIMIT_MS = 200.0
RECORDINGS = 100_000
SHARDS = 20
RUNS_A_VERSION = 40
ASKED = 30

# Component: what it takes, by input name and component; what it makes. The first four read the data.
STEPS: dict[str, tuple[dict[str, str], str]] = {
    "ExampleGen": ({"recordings": "data"}, "Examples"),
    "StatisticsGen": ({"examples": "ExampleGen", "previous_statistics": "last"}, "Statistics"),
    "ExampleValidator": ({"statistics": "StatisticsGen"}, "Validation"),
    "Transform": ({"examples": "ExampleGen", "validation": "ExampleValidator"}, "Features"),
    "Teacher": ({"features": "Transform"}, "Model"),
    "Trainer": ({"features": "Transform"}, "Model"),
    "Pruner": ({"features": "Transform", "model": "Trainer"}, "Model"),
    "Distiller": ({"features": "Transform", "model": "Pruner", "teacher": "Teacher"}, "Model"),
    "Quantizer": ({"features": "Transform", "model": "Distiller"}, "Model"),
    "Converter": ({"features": "Transform", "model": "Quantizer"}, "Int8Model"),
    "Evaluator": (
        {"features": "Transform", "model": "Converter", "last_release": "last bundle"},
        "Evaluation",
    ),
    "InfraValidator": ({"features": "Transform", "model": "Converter"}, "InfraValidation"),
    "Packager": (
        {
            "examples": "ExampleGen",
            "features": "Transform",
            "model": "Converter",
            "evaluation": "Evaluator",
            "infra_validation": "InfraValidator",
        },
        "Bundle",
    ),
    "Pusher": (
        {"bundle": "Packager", "evaluation": "Evaluator", "infra_validation": "InfraValidator"},
        "Release",
    ),
}
OF_DATA = frozenset(list(STEPS)[:4])

Rows = dict[str, list[tuple[Any, ...]]]


def main() -> None:
    """Measures both databases and publishes the figures."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        LineageStore.at(Path(folder)).close()
        load_sqlite(Path(folder) / DATABASE)
        store = LineageStore.at(Path(folder))
        figures += measured("SQLite", store, ["--root", folder])
        store.close()
    try:
        with new_database() as url:
            store = LineageStore(url)
            load_postgresql(url)
            shown = url.set(drivername="postgresql").render_as_string(hide_password=False)
            figures += measured("PostgreSQL", store, ["--lineage", shown])
            store.close()
    except pytest.skip.Exception as e:
        print(f"PostgreSQL is not measured: {e}")
    publish("lineage", figures)


def measured(name: str, store: LineageStore, where: list[str]) -> list[Figure]:
    """The figures of one database."""
    with store.read() as session:
        count = session.execute(sa.text("SELECT count(*) FROM artifact")).scalar_one()
        newest = session.execute(sa.text("SELECT max(id) FROM context")).scalar_one()
    assert count >= ARTIFACTS
    chosen = random.Random(1)
    runs = [newest, *(chosen.randint(2, newest) for _ in range(ASKED - 1))]
    walks = [milliseconds(lambda run=run: walk(store, bundle(run))) for run in runs]
    command = [sys.executable, "-m", "pipeline", "lineage", bundle(newest), "--json", *where]
    whole = [
        milliseconds(lambda: subprocess.run(command, cwd=TOP, check=True, capture_output=True))
    ]
    whole.append(
        milliseconds(lambda: subprocess.run(command, cwd=TOP, check=True, capture_output=True))
    )
    lookups = {
        "find_cached": lambda: store.find_cached(digest("key", newest, "Evaluator")),
        "latest_execution": lambda: store.latest_execution("keyword_spotting", "Evaluator"),
    }
    return [
        figure(f"{name}: lineage of a bundle, first", walks[0]),
        figure(f"{name}: lineage of a bundle, median of {ASKED}", statistics.median(walks)),
        figure(f"{name}: lineage of a bundle, slowest of {ASKED}", max(walks)),
        figure(f"{name}: whole command, best of 2", min(whole), 0.0),
        *(
            figure(f"{name}: {what}, slowest of 5", max(milliseconds(ask) for _ in range(5)), 0.0)
            for what, ask in lookups.items()
        ),
    ]


def figure(what: str, took: float, limit: float = LIMIT_MS) -> Figure:
    return Figure(figure=what, ours=took, peer=limit, unit="ms")


def milliseconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return 1000.0 * (time.perf_counter() - started)


def walk(store: LineageStore, target: str) -> None:
    """From a bundle's digest to the whole account as JSON."""
    with store.read() as session:
        found = find(session, target).artifact
        assert found is not None
        told = account.backward(session, found)
    assert told["recordings"] == RECORDINGS
    assert len(told["executions"]) == len(STEPS) - 1
    json.dumps(told)


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def bundle(run: int) -> str:
    """Digest of the bundle that a run made."""
    return digest("bundle", run)


def load_sqlite(path: Path) -> None:
    """Fills the tables of an empty store; its indexes are dropped for the while."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")  # the next to open it brings WAL back
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -500000")  # kB
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    for rows in batches():
        for table, values in rows.items():
            marks = ",".join("?" * len(COLUMNS[table].split(",")))
            statement = f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({marks})"
            connection.executemany(statement, values)
    for _, statement in indexes:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.close()


def load_postgresql(url: sa.URL) -> None:
    """Likewise, and asks for the statistics that autovacuum gathers by itself within a minute."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection, connection.cursor() as cursor:
        indexes = cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname"
            " NOT IN (SELECT conname FROM pg_constraint)"
        ).fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute("SET session_replication_role = replica")  # no look-up of each foreign key
        for rows in batches():
            for table in COLUMNS:  # parents first
                with cursor.copy(f"COPY {table} ({COLUMNS[table]}) FROM STDIN") as copy:
                    for row in rows.get(table, ()):
                        copy.write_row(row)
        for _, definition in indexes:
            cursor.execute(definition)
        connection.commit()
        cursor.execute("ANALYZE")


COLUMNS = {
    "context": "id,recipe,state,started,finished,environment",
    "artifact": "id,type,uri,digest,created",
    "execution": "id,context_id,original_id,component,type,state,cache_key,key_parts,parameters,"
    "metrics,started,finished",
    "event": "execution_id,artifact_id,direction,name",
    "payload": "artifact_id,name,digest",
    "release": "artifact_id,name,version,digest",
    "shard": "id,digest,recordings",
    "artifact_shard": "artifact_id,file,shard_id",
    "recording": "id,digest,path,label,speaker",
    "shard_recording": "shard_id,recording_id",
}


def batches() -> Iterator[Rows]:
    """The rows of all tables, those of some hundred runs at a time."""
    filler = _Filler()
    yield filler.rows
    run = 0
    while filler.artifacts < ARTIFACTS:
        filler.rows = {table: [] for table in COLUMNS}
        for _ in range(400):
            run += 1
            filler.add_run(run)
        yield filler.rows


class _Filler:
    """Makes the rows of run after run."""

    def __init__(self) -> None:
        self.rows: Rows = {table: [] for table in COLUMNS}
        self.artifacts = 0
        self._executions = 0
        self._made: dict[str, tuple[int, int]] = {}  # of the last run: (artifact, execution)
        self._data = 0
        self._last_bundle = 0
        self._recordings = RECORDINGS
        self._shards: list[tuple[int, list[int]]] = []
        self._stored = 0
        for number in range(1, RECORDINGS + 1):
            self._add_recording(number)
        for number in range(SHARDS):
            self._shards.append((0, list(range(number + 1, RECORDINGS + 1, SHARDS))))
            self._store_shard(number)

    def add_run(self, run: int) -> None:
        now = str(datetime.datetime(2020, 1, 1) + datetime.timedelta(minutes=run))
        environment = json.dumps({f"package-{n}": "1.2.3" for n in range(15)})
        self._add("context", run, "keyword_spotting", "complete", now, now, environment)
        new_data = (run - 1) % RUNS_A_VERSION == 0
        if new_data:
            if run > 1:
                self._change_shard((run // RUNS_A_VERSION) % SHARDS)
            self._data = self._add_artifact(run, "data", "Recordings", now)
        last = dict(self._made)
        for component, (inputs, type_) in STEPS.items():
            hit = not new_data and component in OF_DATA
            self._add_step(run, component, inputs, type_, last, hit, now)
        artifact, _ = self._made["Packager"]
        self._last_bundle = artifact
        self._add("payload", artifact, "candidate.bundle", bundle(run))
        self._add("release", self._made["Pusher"][0], "keyword_spotting", f"1.0.{run}", bundle(run))

    def _add_step(
        self,
        run: int,
        component: str,
        inputs: dict[str, str],
        type_: str,
        last: dict[str, tuple[int, int]],
        hit: bool,
        now: str,
    ) -> None:
        self._executions += 1
        execution = self._executions
        original = last[component][1] if hit else None
        parameters = {"seed": 1, "epochs": 30, "batch": 64, "rate": 0.001, "widths": [16, 32, 64]}
        parts = {
            "type": component,
            "parameters": parameters,
            "inputs": {name: digest(run, name) for name in inputs},
            "code": digest(component),
            "environment": {"python": "3.11"},
        }
        self._add(
            "execution",
            execution,
            run,
            original,
            component,
            component,
            "cached" if hit else "complete",
            digest("key", run, component),
            json.dumps(parts),
            json.dumps(parameters),
            json.dumps({"accuracy": 0.9, "loss": 0.3}),
            now,
            now,
        )
        if hit:
            artifact = last[component][0]
        else:
            artifact = self._add_artifact(run, component, type_, now)
            self._made[component] = (artifact, execution)
        for name, source in inputs.items():
            taken = {
                "data": self._data,
                "last": last.get("StatisticsGen", (0, 0))[0],
                "last bundle": self._last_bundle,
            }.get(source) or self._made.get(source, (0, 0))[0]
            if taken:
                self._add("event", execution, taken, "input", name)
        self._add("event", execution, artifact, "output", type_.lower())

    def _add_artifact(self, run: int, component: str, type_: str, now: str) -> int:
        self.artifacts += 1
        folder = f"/var/lib/edge/keyword_spotting/runs/{run:06d}/{component}/{type_.lower()}"
        self._add("artifact", self.artifacts, type_, folder, digest(run, component), now)
        if type_ == "Examples":
            for place, (shard, _) in enumerate(self._shards):
                file = f"train-{place:05d}-of-{SHARDS:05d}.tfrecord"
                self._add("artifact_shard", self.artifacts, file, shard)
        return self.artifacts

    def _add_recording(self, number: int) -> None:
        speaker = f"{number % 3000:08x}"
        path = f"yes/{speaker}_nohash_{number}.wav"
        self._add("recording", number, digest("recording", number), path, "yes", speaker)

    def _change_shard(self, place: int) -> None:
        """One recording is replaced by another, and the shard that it is in with it."""
        self._recordings += 1
        self._add_recording(self._recordings)
        _, members = self._shards[place]
        self._shards[place] = (0, [*members[1:], self._recordings])
        self._store_shard(place)

    def _store_shard(self, place: int) -> None:
        self._stored += 1
        id_ = self._stored
        _, members = self._shards[place]
        self._shards[place] = (id_, members)
        self._add("shard", id_, digest("shard", id_), len(members))
        for member in members:
            self._add("shard_recording", id_, member)

    def _add(self, table: str, *values: Any) -> None:
        self.rows[table].append(values)


if __name__ == "__main__":
    main()

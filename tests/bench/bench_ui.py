"""The pages of a large store beside those of a small one: ``make bench-ui``.

Ours is a page of a store with 10,000 runs, 100,000 executions and 1,000,000 artifacts; the peer is the
same page of one a hundredth of the size. Each figure is the median of eleven requests to a server
process, over one connection, in milliseconds. The start is that of the process, to the first answer.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from pipeline.lineage.store import DATABASE, LineageStore
from tests.bench.table import Figure, publish
from tests.fixtures.web_server import serving

_STEPS = 10  # a run
_MADE = 10  # outputs of a step
_REQUESTS = 11
_PAGES = {
    "runs": "/",
    "runs, the last page": "/?before=51&recipe=keyword_spotting",
    "a run and its graph": "/runs/{run}",
    "an execution": "/executions/{step}",
    "metrics over 100 runs": "/metrics",
    "artifacts": "/artifacts",
    "artifacts, the last page": "/artifacts?before=51",
    "artifacts of a type": "/artifacts?type=T3",
    "artifacts by digest": "/artifacts?digest=000abc",
    "an artifact and its lineage": "/artifacts/{artifact}",
}


def main() -> None:
    """Measures and publishes."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        _fill(small, 100)
        _fill(large, 10_000)
        (ours, start), (peer, small_start) = _measure(large, 10_000), _measure(small, 100)
    figures = [Figure(figure=name, ours=ours[name], peer=peer[name], unit="ms") for name in _PAGES]
    figures.append(
        Figure(figure="start to the first answer", ours=start, peer=small_start, unit="ms")
    )
    publish("ui", figures)


def _measure(root: Path, runs: int) -> tuple[Mapping[str, float], float]:
    started = time.perf_counter()
    with serving(root) as address, httpx.Client(base_url=address, timeout=60) as client:
        client.get("/page.css").raise_for_status()
        start = 1000 * (time.perf_counter() - started)
        ids = {"run": runs - 1, "step": _STEPS * runs - 5, "artifact": _STEPS * _MADE * runs - 5}
        return {name: _median(client, path.format(**ids)) for name, path in _PAGES.items()}, start


def _median(client: httpx.Client, path: str) -> float:
    taken = []
    for _ in range(_REQUESTS):
        started = time.perf_counter()
        client.get(path).raise_for_status()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def _fill(root: Path, runs: int) -> None:
    root.mkdir()
    LineageStore.at(root).close()
    steps, artifacts = _STEPS * runs, _STEPS * _MADE * runs
    base = sqlite3.connect(root / DATABASE)
    base.execute("PRAGMA synchronous = OFF")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    noon = "'2026-11-26 12:00:00.000000'"
    base.execute(
        "INSERT INTO context (id, recipe, state, started, finished, environment) "
        f"{numbers} SELECT i, 'keyword_spotting', 'complete', {noon}, {noon}, '{{}}' FROM n",
        (runs,),
    )
    base.execute(
        "INSERT INTO execution (id, context_id, component, type, state, cache_key, parameters, "
        f"metrics, started, finished) {numbers} SELECT i, 1 + (i - 1) / {_STEPS}, "
        f"'Step' || (i % {_STEPS}), 'Step', 'complete', printf('%064x', i), '{{}}', "
        f"json_object('int8_accuracy', 0.9 + (i % 97) / 1000.0), {noon}, {noon} FROM n",
        (steps,),
    )
    base.execute(
        f"INSERT INTO artifact (id, type, uri, digest, created) {numbers} SELECT i, "
        f"'T' || (i % 7), '/nowhere', printf('%016x%048x', i * 4294967291, i), {noon} FROM n",
        (artifacts,),
    )
    base.execute(
        f"INSERT INTO event (execution_id, artifact_id, direction, name) {numbers} SELECT "
        f"1 + (i - 1) / {_MADE}, i, 'output', 'made' || (i % {_MADE}) FROM n",
        (artifacts,),
    )
    # A step takes what the one before it in its run made.
    base.execute(
        f"INSERT INTO event (execution_id, artifact_id, direction, name) {numbers} SELECT "
        f"i, (i - 2) * {_MADE} + 1 + t, 'input', 'taken' || t FROM n, "
        f"(SELECT 0 AS t UNION SELECT 1) WHERE i % {_STEPS} != 1",
        (steps,),
    )
    base.commit()
    base.close()


if __name__ == "__main__":
    main()

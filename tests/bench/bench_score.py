"""What scoring costs on the device: a row that comes alone, and a long log through ``edge_agent score``.

    make bench-score                                the anomaly recipe's choice for SKAB, trained first
    make bench-score ARGS="--bundle B --rows 4000000"

The log is that of SKAB's first experiment over and over, with the columns that the bundle names. The peer of
each figure is the limit that it should keep.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_agent.bundle import archive
from edge_agent.watching.bundle import anomaly_manifest, open_scorer
from tests.bench.table import TOP, Figure, data_folder, publish

_ROWS_A_ROUND = 1000
_ROUNDS = 8


def main() -> None:
    """Measures, and publishes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="default: one trained on SKAB")
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = arguments.bundle or _train(Path(folder))
        publish(
            "score",
            [_row_alone(bundle), *_log(bundle, Path(folder) / "long.csv", arguments.rows)],
        )


def _train(root: Path) -> Path:
    data = str(data_folder("skab"))
    command = [sys.executable, "-m", "pipeline", "run", "anomaly_detection", "--data", data]
    subprocess.run([*command, "--root", str(root)], cwd=TOP, check=True)
    return root / "anomaly_detection" / "latest.bundle"


def _row_alone(bundle: Path) -> Figure:
    """The least of several rounds: what else the machine does only adds."""
    scorer = open_scorer(archive.read(bundle))
    rows = np.random.default_rng(0).normal(scorer.centre, size=(_ROWS_A_ROUND, scorer.channels))
    scorer.process(rows)
    took = []
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for row in rows:
            scorer.process(row[None])
        took.append(time.process_time() - begin)
    microseconds = min(took) / _ROWS_A_ROUND * 1e6
    return Figure(figure="a row alone, CPU time", ours=microseconds, peer=100.0, unit="us")


def _log(bundle: Path, log: Path, rows: int) -> list[Figure]:
    channels = anomaly_manifest(archive.read(bundle).manifest).channels
    lines = _write(log, [channel.name for channel in channels], rows)
    command = [sys.executable, "-m", "edge_agent", "score", "--bundle", str(bundle)]
    begin = time.monotonic()
    process = subprocess.Popen(
        [*command, "--csv", str(log), "--json"], cwd=TOP, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as output:
        scored = sum(chunk.count(b"\n") for chunk in iter(lambda: output.read(1 << 20), b""))
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status or scored != lines:
        raise SystemExit(f"score ended with status {status} after {scored} of {lines} rows")
    per_million = 1_000_000 / lines
    cpu = used.ru_utime + used.ru_stime
    return [
        Figure(figure="a million rows, wall time", ours=wall * per_million, peer=60.0, unit="s"),
        Figure(figure="a million rows, CPU time", ours=cpu * per_million, peer=60.0, unit="s"),
        Figure(figure="resident", ours=used.ru_maxrss / 1024, peer=80.0, unit="MB"),
    ]


def _write(log: Path, channels: list[str], rows: int) -> int:
    """Writes the log; its rows."""
    source = sorted((data_folder("skab") / "valve1").glob("*.csv"))[0]
    header, *lines = source.read_text(encoding="utf-8").splitlines()
    missing = set(channels) - set(header.split(";"))
    if missing:
        raise SystemExit(f"{source}: has no column {', '.join(sorted(missing))}")
    with log.open("w", encoding="utf-8") as file:
        print(header, file=file)
        for begin in range(0, rows, len(lines)):
            print("\n".join(lines[: rows - begin]), file=file)
    return rows


if __name__ == "__main__":
    main()

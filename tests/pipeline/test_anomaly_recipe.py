"""The anomaly detection recipe as a person runs it: from logs to alarms of the released bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.bundle import archive
from tests.fixtures.anomaly_bundles import csv_text, machine_rows
from tests.fixtures.machine_logs import write_log

ROOT = Path(__file__).resolve().parents[2]
QUICK = [f"--set={step}Trainer.epochs=4" for step in ("Dense", "Convolutional", "Forecaster")]


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_logs_to_a_release_with_a_network_that_alarms(tmp_path):
    for seed, begin in ((1, 700), (2, 900)):
        fault = slice(begin, begin + 300)
        write_log(tmp_path / "logs" / f"{seed}.csv", seed, fault=fault, rows=1500)
    settings = ["lags=2", "smoothing=0.3", "persistence=3", "detector=dense_autoencoder"]
    done = run(
        "pipeline",
        "run",
        "anomaly_detection",
        "--data",
        tmp_path / "logs",
        "--root",
        tmp_path / "var",
        *QUICK,
        *(f"--set=AnomalyTrainer.{s}" for s in settings),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    folder = tmp_path / "var" / "anomaly_detection"
    report = json.loads((folder / "report.json").read_text())
    assert report["bundle"] == str(folder / "latest.bundle")
    assert report["model"]["version"] == "1.0.0"
    assert report["model"]["arena_bytes"] < 8192
    assert report["metrics"]["detector"] == "dense_autoencoder"
    assert len(report["metrics"]["quality_by_detector"]) == 11
    assert all(gate["passed"] for gate in report["gates"])
    assert {"int8_drop", "tflm_parity", "arena_bytes"} <= {g["name"] for g in report["gates"]}
    assert "Detectors compared" in (folder / "report.html").read_text()
    assert archive.read(folder / "latest.bundle").manifest.network is not None

    tested = run("edge_agent", "selftest", "--bundle", folder / "latest.bundle")
    assert tested.returncode == 0, tested.stderr
    failing = machine_rows(700, seed=3)
    failing[600:650, 1] += 1.0
    (tmp_path / "failing.csv").write_text(csv_text(failing))
    arguments = ("--bundle", folder / "latest.bundle", "--csv", tmp_path / "failing.csv", "--json")
    scored = run("edge_agent", "score", *arguments)
    lines = [json.loads(line) for line in scored.stdout.splitlines()]
    assert all(line["anomaly"] for line in lines[625:650])
    channels = [line["channel"] for line in lines[625:650]]
    assert max(set(channels), key=channels.count) == "pressure"
    assert not any(line["anomaly"] for line in lines[:600])

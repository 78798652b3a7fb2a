"""The anomaly detection recipe as a person runs it: from CSV files to alarms of the released bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.anomaly_bundles import csv_text, machine_rows

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_from_logs_to_a_release_that_alarms(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    for seed in (1, 2):
        (logs / f"{seed}.csv").write_text(csv_text(machine_rows(1500, seed=seed)))
    settings = [f"--set=AnomalyTrainer.{s}" for s in ("lags=2", "smoothing=0.3", "persistence=3")]
    done = run(
        "pipeline",
        "run",
        "anomaly_detection",
        "--data",
        logs,
        "--root",
        tmp_path / "var",
        *settings,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    folder = tmp_path / "var" / "anomaly_detection"
    report = json.loads((folder / "report.json").read_text())
    assert report["bundle"] == str(folder / "latest.bundle")
    assert report["model"]["version"] == "1.0.0"
    assert report["metrics"]["false_alarm_rate"] < 0.2
    assert all(gate["passed"] for gate in report["gates"])
    page = (folder / "report.html").read_text()
    assert "false alarm rate" in page

    failing = machine_rows(700, seed=3)
    failing[600:650, 1] += 1.0
    (tmp_path / "failing.csv").write_text(csv_text(failing))
    arguments = ("--bundle", folder / "latest.bundle", "--csv", tmp_path / "failing.csv", "--json")
    lines = [
        json.loads(line) for line in run("edge_agent", "score", *arguments).stdout.splitlines()
    ]
    assert {(line["anomaly"], line["channel"]) for line in lines[620:650]} == {(True, "pressure")}
    assert not any(line["anomaly"] for line in lines[:600])


@pytest.mark.slow
def test_without_data_simulated_pumps_are_learned(tmp_path):
    done = run("pipeline", "run", "anomaly_detection", "--root", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads((tmp_path / "anomaly_detection" / "report.json").read_text())
    assert report["metrics"]["roc_auc"] > report["metrics"]["control_roc_auc"] + 0.1

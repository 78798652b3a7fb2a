"""The recipe for pictures from its command line to its report, on the digits, hardly trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TRAINERS = ("TeacherTrainer", "Trainer", "Pruner", "Distiller", "Quantizer")
SMALL = {
    **{f"{name}.epochs": 1 for name in TRAINERS},
    **{f"{name}.examples_per_epoch": 64 for name in TRAINERS},
    "TeacherTrainer.widths": "8,16",
    "Trainer.widths": "8,16",
    "Converter.calibration_rows": 20,
    "InfraValidator.rows": 4,
    "InfraValidator.random_rows": 2,
    "InfraValidator.latency_runs": 2,
}


def test_pictures_go_through_every_step_to_a_report_and_a_refusal_that_says_why(tmp_path):
    settings = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipeline",
            "run",
            "image_classification",
            "--root",
            str(tmp_path),
            *settings,
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 3, done.stderr
    assert "better than majority" in done.stdout + done.stderr
    left = tmp_path / "image_classification"
    report = json.loads((left / "report.json").read_text())
    assert report["bundle"] is None
    assert 0.0 <= report["metrics"]["teacher_agreement"] <= 1.0
    assert report["metrics"]["int8_accuracy"] < 0.5
    assert (left / "report.html").stat().st_size > 10_000
    assert (left / "refused.bundle").is_file()

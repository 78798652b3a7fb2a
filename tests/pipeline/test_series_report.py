"""The report of watched rows: detectors, logs and pictures in one file that loads nothing."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from components.artifacts import write_json
from pipeline.report import write_report

CHANNELS = ["flow", "<b>pressure</b>"]
POINTS = 50


def compared(quality: float, **changes):
    return {
        "quality": quality,
        "files": {"a.csv": quality},
        "stretch": 2.0,
        "false_alarm_rate": 0.02,
        "missed_rate": 0.1,
        "bytes": 5000,
        "state_bytes": 600,
        "arena_bytes": 0,
        "macs": 4592,
        "row_us": 60.0,
        "int8_drop": None,
        "int8_file_drop": None,
        "objections": [],
        **changes,
    }


FIGURES = {
    "roc_auc": 0.94,
    "pr_auc": 0.9,
    "control_roc_auc": 0.55,
    "false_alarm_rate": 0.02,
    "missed_rate": 0.1,
    "f1": 0.8,
    "control_f1": 0.7,
}
FILE = {
    **FIGURES,
    "file": "<i>a.csv",
    "rows": POINTS,
    "threshold": 1.0,
    "delays": [3, None],
    "alarms": 2,
}
EVALUATION = {
    **FIGURES,
    "faults_found": 0.5,
    "delay_rows": 3.0,
    "alarms": 2,
    "alarms_per_day": None,
    "rows": POINTS,
    "state_bytes": 600,
    "slices": {},
    "files": [FILE, {**FILE, "file": "b.csv", "roc_auc": None, "delays": []}],
    "nab": {"standard": 52.5},
    "nab_control": {"standard": 13.0},
    "detector": "dense_autoencoder",
    "why": "its ROC-AUC is the best",
    "compared": {
        "pca": compared(0.9, objections=["bytes: 9 & more"]),
        "dense_autoencoder": compared(
            0.94, arena_bytes=2000, int8_drop=-0.008, int8_file_drop=0.009
        ),
    },
    "compared_on": "labels",
    "crosswise": {"quality": 0.92, "false_alarm_rate": 0.1, "missed_rate": 0.2},
    "strays": ["drifted.csv"],
    "without": {
        "flow": {"roc_auc": 0.876, "false_alarm_rate": 0.03, "missed_rate": None, "f1": None}
    },
    "channels": CHANNELS,
    "traces": ["<i>a.csv"],
}
REPORT = {
    "recipe": "anomaly_detection",
    "run": 3,
    "seconds": 60.0,
    "bundle": None,
    "model": {"name": "anomaly_detection", "version": None, "bytes": 5000},
    "metrics": {},
    "gates": [],
}


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    folder: Path = tmp_path_factory.mktemp("report")
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    write_json(evaluation / "evaluation.json", EVALUATION)
    on = np.arange(POINTS) > 40
    trace = {
        "row": np.arange(POINTS),
        "values": np.random.default_rng(0).normal(size=(POINTS, 2)),
        "score": on.astype(float),
        "on": on,
        "threshold": np.full(POINTS, 0.5),
        "labels": on,
        "shares": np.stack([0.1 * on, 0.9 * on], axis=1),
    }
    np.savez(evaluation / "traces.npz", **{f"0.{name}": array for name, array in trace.items()})
    write_report(folder / "report.html", REPORT, {"AnomalyTrainer.evaluation": evaluation}, folder)
    return (folder / "report.html").read_text()


def test_it_shows_detectors_logs_and_what_came_of_them(text):
    tree = ElementTree.fromstring(text)
    assert ["".join(h.itertext()) for h in tree.iter("h2")] == [
        "Figures",
        "Detectors compared",
        "Logs",
    ]
    rows = ["".join(row.itertext()) for row in tree.iter("tr")]
    (taken,) = [row for row in rows if row.startswith("dense autoencoder")]
    assert "taken" in taken
    assert "-0.008, at most +0.009 on a file" in taken
    assert any("bytes: 9 & more" in row for row in rows)
    assert any(row.startswith("NAB, standard") and "52.5" in row for row in rows)
    assert "drifted.csv" in text  # which it does not fit
    assert "0.876" in text  # without its flow
    assert "90.0%" in text  # the second channel's part of the alarms


def test_the_log_is_a_picture_whose_words_are_escaped_and_nothing_is_loaded(text):
    tree = ElementTree.fromstring(text)
    (picture,) = tree.iter("svg")
    assert "9 of 50 points with an alarm" in picture.get("aria-label", "")
    assert not list(tree.iter("script"))
    assert "http" not in text
    assert "<b>pressure" not in text

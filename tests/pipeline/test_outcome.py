"""What a run leaves at its root, released or refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import Gate, write_json
from pipeline.outcome import leave, report_of
from pipeline.runner import RunResult, StepResult

PAYLOADS = Path(__file__).parents[1] / "payloads"
FILES = {
    "ExampleGen.examples": ["examples.json"],
    "StatisticsGen.statistics": ["statistics.json"],
    "ExampleValidator.validation": ["anomalies.json"],
    "Transform.features": ["features.json"],
    "Trainer.model": ["history.json", "model.json"],
    "Quantizer.model": ["history.json", "model.json"],
    "Converter.model": ["conversion.json"],
    "Evaluator.evaluation": ["evaluation.json"],
    "InfraValidator.result": ["infra_validation.json"],
    "Packager.bundle": [],
}
HELD = Gate(name="int8_drop", value=0.004, limit=0.01, passed=True)
BROKEN = Gate(name="int8_drop", value=0.04, limit=0.01, passed=False, advice="train longer")


def result(root: Path, number: int, *gates: Gate, version: str | None = None) -> RunResult:
    folder = root / "keyword_spotting" / "runs" / f"{number:06d}"
    made = {name: folder / name for name in FILES}
    for name, files in FILES.items():
        made[name].mkdir(parents=True)
        for file in files:
            shutil.copy(PAYLOADS / file, made[name])
    (made["Packager.bundle"] / "candidate.bundle").write_text(f"bundle {number}")
    if version is not None:
        made["Pusher.release"] = folder / "Pusher"
        made["Pusher.release"].mkdir()
        write_json(made["Pusher.release"] / "release.json", {"version": version, "new": True})
    steps = (StepResult(id="Trainer", seconds=1.23456, metrics={}),)
    digests = dict.fromkeys(made, f"digest {number}") | {"Pusher.release": f"digest {version}"}
    return RunResult(run=number, artifacts=made, digests=digests, steps=steps, gates=gates)


def left(root: Path, outcome: RunResult, recipe: str = "keyword_spotting") -> dict[str, Any]:
    report = report_of(recipe, root, outcome, 61.23)
    leave(recipe, root, outcome, report, root / "recordings")
    return report


@pytest.fixture
def released(tmp_path):
    left(tmp_path, result(tmp_path, 1, HELD, version="1.0.0"))
    return tmp_path


def found(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_released_bundle_is_the_latest(released):
    assert found(released) == {"report.json", "report.html", "latest.bundle"}
    assert found(released / "keyword_spotting") == found(released)
    for name in found(released):
        copy = released / "keyword_spotting" / name
        assert copy.read_bytes() == (released / name).read_bytes()
    assert (released / "latest.bundle").read_text() == "bundle 1"
    assert not (released / "keyword_spotting" / ".outcome").exists()


@pytest.mark.parametrize("name", ["gate", "early_exit"])
def test_what_a_gate_or_an_early_exit_spares_is_a_metric(tmp_path, name):
    outcome = result(tmp_path, 1, HELD)
    path = outcome.artifacts["Evaluator.evaluation"] / "evaluation.json"
    sparing = {
        "accuracy_without": 0.9, "other_sound": {"saved": 0.25}, "words_and_pauses": {"saved": 0.1},
    }  # fmt: skip
    write_json(path, json.loads(path.read_text()) | {name: sparing})
    metrics = left(tmp_path, outcome)["metrics"]
    assert {k: v for k, v in metrics.items() if k.endswith("_saved")} == {f"{name}_saved": 0.25}


def test_the_report_has_the_keys_that_others_rely_on(released):
    report = json.loads((released / "report.json").read_text())
    assert set(report) == {
        "recipe", "run", "made_from", "seconds", "bundle", "model", "metrics", "gates", "steps",
    }  # fmt: skip
    assert set(report["model"]) == {
        "name", "version", "params", "bytes", "download_bytes", "arena_bytes", "macs",
    }  # fmt: skip
    assert {"float_accuracy", "int8_accuracy", "teacher_accuracy"} <= set(report["metrics"])
    assert {"name", "value", "limit", "passed"} <= set(report["gates"][0])
    assert report["bundle"] == str(released / "keyword_spotting" / "latest.bundle")
    assert report["model"]["version"] == "1.0.0"
    assert (report["run"], report["seconds"]) == (1, 61.2)
    assert report["steps"] == [{"id": "Trainer", "seconds": 1.23, "hit": False}]
    conversion = json.loads((PAYLOADS / "conversion.json").read_text())
    assert report["model"]["bytes"] == conversion["bytes"]


def test_a_refused_bundle_is_kept_aside_and_the_latest_stays(released):
    report = left(released, result(released, 2, BROKEN))
    assert report["bundle"] is None
    assert report["model"]["version"] is None
    folder = released / "keyword_spotting"
    assert (folder / "refused.bundle").read_text() == "bundle 2"
    for place in (folder, released):
        assert (place / "latest.bundle").read_text() == "bundle 1"
        assert json.loads((place / "report.json").read_text())["bundle"] is None
    assert not (released / "refused.bundle").exists()


def test_a_release_takes_the_refused_one_away(released):
    left(released, result(released, 2, BROKEN))
    left(released, result(released, 3, HELD, version="1.0.1"))
    assert (released / "latest.bundle").read_text() == "bundle 3"
    assert not (released / "keyword_spotting" / "refused.bundle").exists()


def test_a_report_of_the_same_artifacts_is_not_drawn_again(released):
    outcome = result(released, 2, HELD, version="1.0.1")
    left(released, outcome)
    drawn = (released / "report.html").read_bytes()
    left(released, dataclasses.replace(outcome, run=3))
    assert json.loads((released / "report.json").read_text())["run"] == 3
    assert (released / "report.html").read_bytes() == drawn
    (released / "report.html").unlink()
    left(released, dataclasses.replace(outcome, run=4))
    assert (released / "report.html").read_bytes() != drawn


def test_another_recipe_leaves_nothing_at_the_top(tmp_path):
    outcome = result(tmp_path, 1, HELD, version="1.0.0")
    (tmp_path / "other").mkdir()
    left(tmp_path, outcome, "other")
    assert found(tmp_path) == set()
    assert found(tmp_path / "other") == {"report.json", "report.html", "latest.bundle"}


def test_what_an_interrupted_run_left_does_not_hinder(released):
    aside = released / "keyword_spotting" / ".outcome"
    aside.mkdir()
    (aside / "half").write_text("half")
    left(released, result(released, 2, HELD, version="1.0.1"))
    assert not aside.exists()
    assert (released / "latest.bundle").read_text() == "bundle 2"


def test_an_outcome_that_cannot_be_written_leaves_the_former_one(released):
    before = (released / "report.json").read_bytes()
    outcome = result(released, 2, HELD, version="1.0.1")
    report = report_of("keyword_spotting", released, outcome, 1.0)
    (outcome.artifacts["Packager.bundle"] / "candidate.bundle").unlink()
    with pytest.raises(FileNotFoundError):
        leave("keyword_spotting", released, outcome, report, released / "recordings")
    assert not (released / "keyword_spotting" / ".outcome").exists()
    assert (released / "report.json").read_bytes() == before
    assert (released / "latest.bundle").read_text() == "bundle 1"

"""The main job: from words alone to a release that a device installs and runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from components.artifacts import read_json
from tests.fixtures.kills import forget, kill_within

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
TRAINERS = ("TeacherTrainer", "Trainer", "Pruner", "Distiller", "Quantizer")
SHORT = {
    "epochs": 1,
    "examples_per_epoch": 1280,
    "batch": 32,
    "learning_rate": 0.01,
    "ema": 0.8,
    "time_stretch": 0,
    "warp": 0,
    "warp_shift": 0,
    "gain": 2,
    "tilt": 1,
    "mask_share": 0,
}
# As little of everything as still makes a release; the gates on quality are open.
SMALL = {
    "SpeechSynthesizer.clips_per_word": 60,
    "SpeechSynthesizer.unknown_clips": 60,
    "SpeechSynthesizer.silence_clips": 24,
    "SpeechSynthesizer.background_seconds": 2,
    "SpeechSynthesizer.speakers": 30,
    "ExampleGen.shards": 2,
    "ExampleGen.val_percent": 20,
    "ExampleGen.test_percent": 20,
    "Transform.train_views": 1,
    "Transform.eval_views": 1,
    "TeacherTrainer.widths": 8,
    "Trainer.widths": 8,
    **{f"{name}.{field}": value for name in TRAINERS for field, value in SHORT.items()},
    "TeacherTrainer.epochs": 3,
    "Trainer.epochs": 3,
    "Distiller.epochs": 2,
    "Quantizer.learning_rate": 0.001,
    "Pruner.frequency": 2,
    "Converter.calibration_rows": 40,
    "Evaluator.drop_limit": 1,
    "Evaluator.agreement_limit": 0,
    "Evaluator.label_floor": 0,
    "Evaluator.speaker_floor": 0,
    "InfraValidator.rows": 10,
    "InfraValidator.random_rows": 4,
    "InfraValidator.latency_runs": 5,
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of the whole pipeline, and the folder it wrote below."""

    root: Path
    done: subprocess.CompletedProcess[str]
    bundle: bytes
    took: dict[str, float]

    @property
    def steps(self) -> Path:
        return self.root / "keyword_spotting" / "runs" / "000001"

    @property
    def report(self) -> dict[str, Any]:
        return read_json(self.root / "report.json")


def run(*command: object, expected: int = 0) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(p for p in (str(ROOT), *sys.path) if p)
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == expected, done.stderr
    assert "Traceback" not in done.stderr
    return done


def arguments(root: Path, settings: dict[str, object]) -> list[object]:
    sets = [item for name, value in settings.items() for item in ("--set", f"{name}={value}")]
    return ["run", "keyword_spotting", "--keywords", "yes stop", "--root", root, *sets]


def durations(root: Path) -> dict[str, float]:
    return {step["id"]: step["seconds"] for step in read_json(root / "report.json")["steps"]}


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Run:
    root = tmp_path_factory.mktemp("end_to_end") / "var"
    done = run("-m", "pipeline", *arguments(root, SMALL))
    return Run(root, done, (root / "latest.bundle").read_bytes(), durations(root))


@pytest.fixture
def copy(first, tmp_path) -> Path:
    """A copy of what `first` left, in whose place another run may be tried."""
    root = tmp_path / "var"
    shutil.copytree(first.root, root)
    return root


def agent(*command: object) -> str:
    return run("-m", "edge_agent", *command).stdout


def test_a_run_leaves_a_report_a_bundle_and_a_repository(first):
    assert first.done.stdout == ""
    assert "Released keyword_spotting" in first.done.stderr
    left = {path.name for path in first.root.iterdir()}
    assert left == {
        "keyword_spotting", "lineage.db", "report.json", "report.html", "latest.bundle",
        "repository", "root.json", ".lock", ".memory",
    } | (left & {"keys"})  # fmt: skip
    assert not (first.root / "keyword_spotting" / "partial").exists()
    report = first.report
    assert set(report) == {
        "recipe", "run", "made_from", "seconds", "bundle", "model", "metrics", "gates", "steps",
    }  # fmt: skip
    assert Path(report["bundle"]).read_bytes() == (first.root / "latest.bundle").read_bytes()
    assert all(gate["passed"] for gate in report["gates"])
    assert report["model"]["bytes"] > report["model"]["download_bytes"] > 0
    assert {"latency_ms_tflite_runtime", "latency_ms_litert"} <= set(report["metrics"])
    assert [step["id"] for step in report["steps"]][-1] == "Pusher"
    page = (first.root / "report.html").read_text(encoding="utf-8")
    assert f"{100 * report['metrics']['int8_accuracy']:.1f}%" in page


def test_a_device_installs_the_release(first, tmp_path):
    agent(
        "install", "--repository", first.root / "repository", "--trusted-root",
        first.root / "root.json", "--root", tmp_path / "device", "keyword_spotting",
    )  # fmt: skip
    installed = [
        path
        for path in (tmp_path / "device").rglob("*")
        if path.is_file() and path.read_bytes() == (first.root / "latest.bundle").read_bytes()
    ]
    assert installed


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_the_device_finds_the_accuracy_that_the_report_prints(first, tmp_path, runtime):
    recordings = first.steps / "SpeechSynthesizer" / "recordings"
    clips = read_json(first.steps / "Transform" / "features" / "features.json")["splits"]["test"]
    paths = [path for path in clips["paths"] if (recordings / path).is_file()]
    assert len(paths) == clips["clips"]
    (tmp_path / "test.txt").write_text("\n".join(paths) + "\n")
    said = agent(
        "evaluate", "--bundle", first.root / "latest.bundle", "--data", recordings, "--list",
        tmp_path / "test.txt", "--runtime", runtime, "--json",
    )  # fmt: skip
    scores = json.loads(said)
    assert scores["n"] == len(paths)
    assert abs(scores["accuracy"] - first.report["metrics"]["int8_accuracy"]) <= 1.01 / len(paths)


def test_the_device_listens_to_a_long_recording(first, tmp_path):
    recordings = first.steps / "SpeechSynthesizer" / "recordings"
    clips = [soundfile.read(path)[0] for path in sorted(recordings.glob("yes/*.wav"))[:6]]
    rate = soundfile.info(next(recordings.glob("yes/*.wav"))).samplerate
    soundfile.write(tmp_path / "long.wav", np.concatenate(clips), rate)
    said = agent("spot", "--bundle", first.root / "latest.bundle", tmp_path / "long.wav", "--json")
    for line in said.splitlines():
        found = json.loads(line)
        assert set(found) == {"time_s", "label", "score"}
        assert found["label"] in ("yes", "stop")
        assert 0.0 <= found["time_s"] <= sum(map(len, clips)) / rate


def hits(root: Path) -> dict[str, bool]:
    return {step["id"]: step["hit"] for step in read_json(root / "report.json")["steps"]}


def test_an_unchanged_run_makes_nothing_and_needs_no_tensorflow(first):
    before = {path: path.read_bytes() for path in (first.root / "repository").rglob("*.json")}
    bundle = (first.root / "latest.bundle").read_bytes()
    done = run("-X", "importtime", "-m", "pipeline", *arguments(first.root, SMALL))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "sqlalchemy" in imported
    assert not imported & {"tensorflow", "tf_keras", "apache_beam", "matplotlib"}
    assert all(hits(first.root).values())
    assert len(hits(first.root)) == len(first.report["steps"])
    assert (first.root / "latest.bundle").read_bytes() == bundle
    assert {p: p.read_bytes() for p in (first.root / "repository").rglob("*.json")} == before
    assert first.report["run"] > 1
    assert first.report["bundle"] is not None


def test_the_same_bundle_is_no_new_release(first, copy):
    run("-m", "pipeline", *arguments(copy, SMALL))
    assert {id for id, hit in hits(copy).items() if not hit} == {"Pusher"}  # at another folder
    assert (copy / "latest.bundle").read_bytes() == (first.root / "latest.bundle").read_bytes()
    report = read_json(copy / "report.json")
    assert report["model"]["version"] == first.report["model"]["version"]
    (release,) = (copy / "keyword_spotting" / "runs").glob(f"{report['run']:06d}/Pusher/release")
    assert read_json(release / "release.json")["new"] is False


def test_a_refused_bundle_is_no_release(first, copy):
    before = sorted(copy.joinpath("repository").rglob("*"))
    changed = {**SMALL, "Evaluator.accuracy_floor": 1.0}
    done = run("-m", "pipeline", *arguments(copy, changed), expected=3)
    made = {id for id, hit in hits(copy).items() if not hit}
    assert made == {"Evaluator", "Streamer", "InfraValidator", "Packager"}
    assert "Refused keyword_spotting" in done.stderr
    assert "train longer, or add recordings" in done.stderr
    report = read_json(copy / "report.json")
    assert report["bundle"] is None
    assert [gate["name"] for gate in report["gates"] if not gate["passed"]] == ["accuracy_floor"]
    assert (copy / "latest.bundle").read_bytes() == (first.root / "latest.bundle").read_bytes()
    assert (copy / "keyword_spotting" / "refused.bundle").is_file()
    assert sorted(copy.joinpath("repository").rglob("*")) == before


def test_what_a_run_would_do_is_explained(first):
    changed = {**SMALL, "Distiller.temperature": 2.5}
    _, *rest = arguments(first.root, changed)
    steps = json.loads(run("-m", "pipeline", "explain", *rest, "--json").stdout)["steps"]
    found = {step["name"]: step for step in steps}
    assert [step["name"] for step in steps if not step["hit"]] == [
        "Distiller", "Quantizer", "Converter", "EarlyExit", "Evaluator", "Streamer", "InfraValidator",
        "Packager", "Pusher",
    ]  # fmt: skip
    assert found["Distiller"]["changed"] == ["parameters.temperature: 2.0 -> 2.5"]
    assert found["Quantizer"]["changed"] == [
        "inputs.model: Distiller runs first",
        "inputs.teacher: Distiller runs first",
    ]


KILLED = (
    "Distiller",
    "Quantizer",
    "Converter",
    "Evaluator",
    "Streamer",
    "InfraValidator",
    "Packager",
    "Pusher",
)


KILLS_A_STEP = 3  # in the soak test, so that a run is started over for few of its kills


def kill_each(
    root: Path, took: dict[str, float], steps: tuple[str, ...], draw: random.Random
) -> int:
    """Runs at `root`, killed in each of `steps` in turn, and to its end; gives the number of kills."""
    recipe = root / "keyword_spotting"
    killed = [
        # The step before the kill came may have got to its end: then it is the next that is hit.
        kill_within(arguments(root, SMALL), recipe, steps[place:], draw.uniform(0, took[step]))
        for place, step in enumerate(steps)
    ]
    run("-m", "pipeline", *arguments(root, SMALL))
    return sum(killed)


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(first, copy):
    forget(copy, KILLED)
    (copy / "latest.bundle").unlink()
    shutil.rmtree(copy / "repository")
    (copy / "root.json").unlink()
    assert kill_each(copy, first.took, KILLED, random.Random(1)) >= len(KILLED) - 2
    assert (copy / "latest.bundle").read_bytes() == first.bundle
    (release,) = copy.glob("repository/targets/*/*.bundle")
    assert release.read_bytes() == first.bundle


@pytest.mark.soak
def test_two_hundred_kills(first, tmp_path):
    draw, kills, hit = random.Random(2), 0, set()
    root = tmp_path / "var"
    while kills < 200:
        often = tuple(step for step in first.took for _ in range(KILLS_A_STEP))
        kills += kill_each(root, first.took, often, draw)
        assert (root / "latest.bundle").read_bytes() == first.bundle
        with contextlib.closing(sqlite3.connect(root / "lineage.db")) as database:
            ended = "SELECT component FROM execution WHERE state = 'interrupted'"
            hit |= {component for (component,) in database.execute(ended)}
        shutil.rmtree(root)
    assert hit == set(first.took)

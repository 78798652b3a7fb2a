"""What a run costs that has nothing to do, and what a small change makes run again.

``make bench-pipeline`` runs keyword_spotting once with a training cut short, from the clips of
speech_commands_v2_subset, and then again: unchanged, three times, and with one parameter of the
Evaluator changed. The peer of a time is the limit that we hold ourselves to.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import app

from tests.bench.table import TOP, Figure, data_folder, publish

_TRAINERS = ("TeacherTrainer", "Trainer", "Pruner", "Distiller", "Quantizer")
_SHORT = {
    **{f"{name}.epochs": 1 for name in _TRAINERS},
    **{f"{name}.examples_per_epoch": 1280 for name in _TRAINERS},
    "Evaluator.drop_limit": 1,
    "Evaluator.agreement_limit": 0,
    "Evaluator.label_floor": 0,
    "Evaluator.speaker_floor": 0,
}
_FOLLOWS_EVALUATOR = {"Evaluator", "Packager", "Pusher"}
_LONGEST_UNCHANGED = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    seconds: float
    made: set[str]
    tensorflow: bool


def _run(data: Path, root: Path, settings: dict[str, Any]) -> _Run:
    sets = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = ["run", "keyword_spotting", "--data", str(data), "--root", str(root), *sets]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline", *command],
        cwd=TOP,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr[-2000:])
    report = json.loads((root / "report.json").read_text(encoding="utf-8"))
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return _Run(
        seconds=seconds,
        made={step["id"] for step in report["steps"] if not step["hit"]},
        tensorflow="tensorflow" in imported,
    )


def main(_argv: list[str]) -> None:
    """Runs it."""
    data = data_folder("speech_commands_v2_subset")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        first = _run(data, root, _SHORT)
        unchanged = [_run(data, root, _SHORT) for _ in range(3)]
        changed = _run(data, root, {**_SHORT, "Evaluator.worst": 9})
    publish(
        "pipeline",
        [
            Figure(
                figure="an unchanged run, interpreter start included, best of 3",
                ours=min(run.seconds for run in unchanged),
                peer=_LONGEST_UNCHANGED,
                unit="s",
            ),
            Figure(
                figure="the same, worst of 3",
                ours=max(run.seconds for run in unchanged),
                peer=_LONGEST_UNCHANGED,
                unit="s",
            ),
            Figure(
                figure="steps that an unchanged run makes",
                ours=float(sum(len(run.made) for run in unchanged)),
                peer=float(3 * len(first.made)),
                unit="steps",
            ),
            Figure(
                figure="imports of TensorFlow in an unchanged run",
                ours=float(sum(run.tensorflow for run in unchanged)),
                peer=0.0,
                unit="imports",
            ),
            Figure(
                figure="steps that a changed Evaluator makes run beside those that must",
                ours=float(len(changed.made - _FOLLOWS_EVALUATOR)),
                peer=float(len(first.made - _FOLLOWS_EVALUATOR)),
                unit="steps",
            ),
        ],
    )


if __name__ == "__main__":
    app.run(main)

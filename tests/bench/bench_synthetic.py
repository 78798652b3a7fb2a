"""Trained on synthesised speech alone, scored on real recordings: what no recordings are good for."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.bench.table import TOP, Figure, data_folder, publish
from tests.bench.whole_run import evaluate, run_recipe

_WORDS = "yes no up down left right on off stop go"
# eSpeak alone and a 22 kB model, on the same list.
_PEER_ACCURACY = 0.541


def main() -> None:
    """Runs the recipe for the ten words, then the default one for its time."""
    data = data_folder("speech_commands_v2_subset")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ten = run_recipe(root, ["--keywords", _WORDS])
        accuracy = evaluate(root / "latest.bundle", data, data / "test.txt")["accuracy"]
        kept = TOP / "var" / "bench" / "synthetic"
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "latest.bundle", kept / "latest.bundle")
        shutil.copyfile(root / "report.html", kept / "report.html")
    with tempfile.TemporaryDirectory() as folder:
        bare = run_recipe(Path(folder), ["--keywords", "yes no stop go"])
    publish(
        "synthetic",
        [
            Figure(
                figure="ten words, real test.txt: int8 accuracy",
                ours=accuracy,
                peer=_PEER_ACCURACY,
                unit="share",
            ),
            Figure(figure="ten words: whole run", ours=ten["wall_s"] / 60, peer=20.0, unit="min"),
            Figure(figure="bare run: whole run", ours=bare["wall_s"] / 60, peer=10.0, unit="min"),
            Figure(
                figure="bare run: accuracy on synthesised speech",
                ours=bare["metrics"]["int8_accuracy"],
                peer=1.0,
                unit="share",
            ),
        ],
    )


if __name__ == "__main__":
    main()

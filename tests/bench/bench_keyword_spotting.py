"""The main job on real recordings, over several seeds: accuracy, bytes, the int8 gate, time.

    make bench-keyword_spotting            seeds 1, 2 and 3
    make bench-keyword_spotting ARGS="4"   other seeds

The peer of the accuracy is the best of the published recipes that were trained on the same clips; of
the rest, what is demanded of a release.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.table import TOP, Figure, data_folder, publish
from tests.bench.whole_run import evaluate, run_recipe

# A 20-channel res8 after 960,000 examples, post-training int8, on the same lists.
_PEER_ACCURACY = 0.858
_DEMANDED = {"bytes": 40_000, "drop": 0.01, "agreement": 0.97, "minutes": 20.0, "gigabytes": 4.0}


def main() -> None:
    """Runs every seed from an empty root and publishes the figures."""
    seeds = sys.argv[1:] or ["1", "2", "3"]
    data = data_folder("speech_commands_v2_subset")
    kept = TOP / "var" / "bench" / "keyword_spotting"
    kept.mkdir(parents=True, exist_ok=True)
    figures, accuracies = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            report = run_recipe(root, ["--data", str(data), "--seed", seed])
            accuracy = evaluate(root / "latest.bundle", data, data / "test.txt")["accuracy"]
            for name in ("latest.bundle", "report.html", "report.json"):
                shutil.copyfile(root / name, kept / f"seed-{seed}.{name}")
        accuracies.append(accuracy)
        metrics, model = report["metrics"], report["model"]
        figures += [
            _figure(f"seed {seed}: int8 accuracy on test.txt", accuracy, _PEER_ACCURACY, "share"),
            _figure(f"seed {seed}: .tflite", model["bytes"], _DEMANDED["bytes"], "bytes"),
            _figure(
                f"seed {seed}: drop, upper 95%",
                metrics["int8_drop_upper_95"],
                _DEMANDED["drop"],
                "share",
            ),
            _figure(
                f"seed {seed}: equal decisions",
                metrics["int8_agreement"],
                _DEMANDED["agreement"],
                "share",
            ),
            _figure(f"seed {seed}: whole run", report["wall_s"] / 60, _DEMANDED["minutes"], "min"),
            _figure(
                f"seed {seed}: largest process",
                report["peak_bytes"] / 1e9,
                _DEMANDED["gigabytes"],
                "GB",
            ),
        ]
    figures.append(_figure("mean accuracy", statistics.mean(accuracies), _PEER_ACCURACY, "share"))
    figures.append(_figure("spread (max - min)", max(accuracies) - min(accuracies), 0.03, "share"))
    publish("keyword_spotting", figures)


def _figure(name: str, ours: float, peer: float, unit: str) -> Figure:
    return Figure(figure=name, ours=float(ours), peer=peer, unit=unit)


if __name__ == "__main__":
    main()

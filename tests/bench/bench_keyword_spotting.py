"""The main job on real recordings, over several seeds: accuracy, bytes, the int8 gate, time.

    make bench-keyword_spotting            seeds 1, 2 and 3
    make bench-keyword_spotting ARGS="4"   other seeds

The peer of the accuracy is the best of the published recipes that were trained on the same clips; of
the rest, what is demanded of a release.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.table import TOP, Figure, data_folder, publish
from tests.bench.whole_run import evaluate, run_recipe

# A 20-channel res8 after 960,000 examples, post-training int8, on the same lists.
_PEER_ACCURACY = 0.858
_DEMANDED = {"bytes": 40_000, "drop": 0.01, "agreement": 0.97, "minutes": 20.0, "gigabytes": 4.0}


def main() -> None:
    """Runs every seed from an empty root, and publishes the figures of all seeds run so far."""
    seeds = sys.argv[1:] or ["1", "2", "3"]
    data = data_folder("speech_commands_v2_subset")
    kept = TOP / "var" / "bench" / "keyword_spotting"
    kept.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            report = run_recipe(root, ["--data", str(data), "--seed", seed])
            scored = evaluate(root / "latest.bundle", data, data / "test.txt")
            for name in ("latest.bundle", "report.html"):
                shutil.copyfile(root / name, kept / f"seed-{seed}.{name}")
        result = json.dumps({**report, "test_accuracy": scored["accuracy"]}, indent=2)
        (kept / f"seed-{seed}.json").write_text(result + "\n", encoding="utf-8")
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(kept.glob("seed-*.json"))
    }
    accuracies = [result["test_accuracy"] for result in results.values()]
    publish(
        "keyword_spotting",
        [
            *(figure for seed, result in results.items() for figure in _figures(seed, result)),
            _figure("mean accuracy", statistics.mean(accuracies), _PEER_ACCURACY, "share"),
            _figure("spread (max - min)", max(accuracies) - min(accuracies), 0.03, "share"),
        ],
    )


def _figures(seed: str, result: dict[str, Any]) -> Iterator[Figure]:
    metrics, bytes_ = result["metrics"], result["model"]["bytes"]
    drop, agreement = metrics["int8_drop_upper_95"], metrics["int8_agreement"]
    minutes, gigabytes = result["wall_s"] / 60, result["peak_bytes"] / 1e9
    yield _figure(f"{seed}: int8 on test.txt", result["test_accuracy"], _PEER_ACCURACY, "share")
    yield _figure(f"{seed}: float on test.txt", metrics["float_accuracy"], _PEER_ACCURACY, "share")
    yield _figure(f"{seed}: .tflite", bytes_, _DEMANDED["bytes"], "bytes")
    yield _figure(f"{seed}: drop, upper 95%", drop, _DEMANDED["drop"], "share")
    yield _figure(f"{seed}: equal decisions", agreement, _DEMANDED["agreement"], "share")
    yield _figure(f"{seed}: whole run", minutes, _DEMANDED["minutes"], "min")
    yield _figure(f"{seed}: largest process", gigabytes, _DEMANDED["gigabytes"], "GB")


def _figure(name: str, ours: float, peer: float, unit: str) -> Figure:
    return Figure(figure=name, ours=float(ours), peer=peer, unit=unit)


if __name__ == "__main__":
    main()

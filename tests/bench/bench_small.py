"""Small keyword spotters by a budget of bytes or of multiply-accumulates, taught by three networks together.

    make bench-small                                    all three, seed 1
    make bench-small ARGS="--seed 2 --only 0.25"        one of them: 20k, 0.25 or 60k

Accuracy is that of ``edge_agent evaluate`` on the test list, with the bundle that a device would run. The
peer of each figure is what is demanded. The teachers are trained once; all of it takes over an hour on two
cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.table import Figure, data_folder, publish
from tests.bench.whole_run import evaluate, run_recipe

_TEACHERS = ("TeacherTrainer.members=3", "TeacherTrainer.widths=24,40")
# The streaming form costs some 2,600 bytes more, and its inference is a step: what is demanded is of windows.
_FORM = "Streamer.form=sliding_window"
# Which network, and what is demanded of it: figure of report.json, at most; accuracy, at least.
_NETWORKS = {
    "20k": (("Trainer.widths=13,22", _FORM), {"bytes": 20_000, "arena_bytes": 20_480}, 0.87),
    "0.25": (
        ("Trainer.architecture=tc_resnet", "Trainer.widths=10,16,24", _FORM),
        {"macs": 250_000},
        0.82,
    ),
    "60k": (("Trainer.widths=24,40", _FORM), {"bytes": 60_000}, 0.90),
}
_UNITS = {"bytes": "bytes", "arena_bytes": "bytes", "macs": "MACs"}


def main() -> None:
    """Runs the networks that are asked for, and publishes their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", choices=tuple(_NETWORKS), nargs="+", default=tuple(_NETWORKS))
    arguments = parser.parse_args()
    data = data_folder("speech_commands_v2_subset")
    with tempfile.TemporaryDirectory() as folder:
        publish("small", list(_figures(Path(folder), data, arguments)))


def _figures(root: Path, data: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    for name in arguments.only:
        settings, most, least = _NETWORKS[name]
        # One network is not held against the one before it.
        wanted = (*_TEACHERS, *settings, "Evaluator.release_drop_limit=1")
        sets = [word for setting in wanted for word in ("--set", setting)]
        report = run_recipe(root, ["--data", str(data), "--seed", arguments.seed, *sets])
        scored = evaluate(root / "latest.bundle", data, data / "test.txt")
        accuracy = float(scored["accuracy"])
        yield Figure(figure=f"{name}: int8 on test.txt", ours=accuracy, peer=least, unit="share")
        for figure, limit in most.items():
            ours = float(report["model"][figure])
            yield Figure(figure=f"{name}: {figure}", ours=ours, peer=limit, unit=_UNITS[figure])


if __name__ == "__main__":
    main()

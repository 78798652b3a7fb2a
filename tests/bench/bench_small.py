"""Small keyword spotters by a budget of bytes or of multiply-accumulates, taught by three networks together.

    make bench-small                                    all three, seed 1
    make bench-small ARGS="--seed 2 --only 0.25"        one of them: 20k, 0.25 or 60k

Accuracy is that of ``edge_agent evaluate`` on the test list, with the bundle that a device would run. The
peer of each figure is what is demanded. All of it takes over an hour on two cores. With ``ARGS="--root DIR"``
what was trained is kept there, and the same command goes on after Ctrl-C.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.table import Figure, data_folder, publish
from tests.bench.whole_run import evaluate, run_recipe

# A file of pipeline/settings, and what is demanded: figure of report.json, at most; accuracy, at least.
_NETWORKS: dict[str, tuple[str, dict[str, int], float]] = {
    "20k": ("keyword_20_kilobytes", {"bytes": 20_000, "arena_bytes": 20_480}, 0.87),
    "0.25": ("keyword_quarter_million_macs", {"macs": 250_000}, 0.82),
    "60k": ("keyword_60_kilobytes", {"bytes": 60_000}, 0.90),
}
_UNITS = {"bytes": "bytes", "arena_bytes": "bytes", "macs": "MACs"}


def main() -> None:
    """Runs the networks that are asked for, and publishes their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", choices=tuple(_NETWORKS), nargs="+", default=tuple(_NETWORKS))
    parser.add_argument("--root", type=Path, help="what is trained is kept here")
    arguments = parser.parse_args()
    data = data_folder("speech_commands_v2_subset")
    with tempfile.TemporaryDirectory() as folder:
        publish("small", list(_figures(arguments.root or Path(folder), data, arguments)))


def _figures(root: Path, data: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    for name in arguments.only:
        settings, most, least = _NETWORKS[name]
        given = ["--settings", settings]
        # One network is not held against the one before it.
        given += ["--set", "Evaluator.release_drop_limit=1", "--seed", arguments.seed]
        report = run_recipe(root, ["--data", str(data), *given])
        scored = evaluate(root / "latest.bundle", data, data / "test.txt")
        accuracy = float(scored["accuracy"])
        yield Figure(figure=f"{name}: int8 on test.txt", ours=accuracy, peer=least, unit="share")
        for figure, limit in most.items():
            ours = float(report["model"][figure])
            yield Figure(figure=f"{name}: {figure}", ours=ours, peer=limit, unit=_UNITS[figure])


if __name__ == "__main__":
    main()

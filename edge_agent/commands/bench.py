"""``python -m edge_agent bench``: what a bundle costs on this device."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.bundle_arguments import add_runtime, opened
from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.costs import Costs

NAME = "bench"
SUMMARY = "what a bundle costs on this device"
DESCRIPTION = """\
Measures what a bundle costs on this device, on one thread: the time of one inference (of a window of sound, a
row or a picture), the CPU that a second of sound takes with features and policy, and resident memory. What
else runs here makes it look dearer: measure on an idle device, and more than once."""
EXAMPLES = """\
  python -m edge_agent bench latest.bundle
  python -m edge_agent bench latest.bundle --runtime tflite_runtime --json

--json prints one line:
  {"runtime": "litert", "version": .., "inferences": 500, "median_ms": .., "p95_ms": .., "worst_ms": ..,
   "budget_ms": .., "load_ms": .., "memory_bytes": .., "cpu_ms_per_second": .., "features_ms_per_second": ..}
The last two are null where there is no sound."""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle to measure")
    add_runtime(parser)
    parser.add_argument(
        "--seconds", type=int, default=30, metavar="N",
        help="seconds of noise that a keyword bundle hears (default: 30)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Prints the costs."""
    import dataclasses

    from edge_agent.costs import measure
    from edge_agent.watching.bundle import WatchError

    if not 3 <= arguments.seconds <= 3600:
        raise CommandError("--seconds must be 3 to 3600")
    with opened(arguments.bundle) as bundle:
        try:
            costs = measure(bundle, runtime=arguments.runtime, seconds=arguments.seconds)
        except WatchError as e:
            raise CommandError(f"{arguments.bundle}: {e}") from e
    if arguments.json:
        print(json.dumps(dataclasses.asdict(costs)))
    else:
        for name, value in _table(costs):
            print(f"{name:<34} {value}")
    return 0


def _table(costs: Costs) -> list[tuple[str, str]]:
    rows = [
        ("runtime", f"{costs.runtime} {costs.version}"),
        ("inferences", str(costs.inferences)),
        ("one inference, median", f"{costs.median_ms:.3f} ms"),
        ("  95 of 100 at most", f"{costs.p95_ms:.3f} ms"),
        ("  longest", f"{costs.worst_ms:.3f} ms"),
        ("  the bundle's budget", f"{costs.budget_ms:g} ms"),
        ("load", f"{costs.load_ms:.1f} ms"),
        ("resident memory of this process", f"{costs.memory_bytes / 2**20:.1f} MB"),
    ]
    if costs.cpu_ms_per_second is not None:
        rows += [
            ("CPU of a second of sound", f"{costs.cpu_ms_per_second:.2f} ms"),
            ("  of this, features", f"{costs.features_ms_per_second:.2f} ms"),
        ]
    return rows

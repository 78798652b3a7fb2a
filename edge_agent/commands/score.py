"""``python -m edge_agent score``: scores the rows of a table as fast as they come."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.alarms_argument import add_alarms

if TYPE_CHECKING:
    from edge_agent.sources.table import RowBlock
    from edge_agent.watching.watch import Watch

NAME = "score"
SUMMARY = "score rows of sensor values for anomalies"
DESCRIPTION = """\
Scores each row of a CSV file, of a WAV file, or of standard input, for anomalies. The delimiter and the
time column are recognised; columns that the bundle does not watch are ignored. Without --json only the
beginning and the end of each alarm are printed. What is wrong with the rows themselves (missing or stuck
values, other units, time going backwards) is said on standard error."""
EXAMPLES = """\
  python -m edge_agent score --bundle latest.bundle --csv pump.csv
  python -m edge_agent score --bundle latest.bundle --csv pump.csv --json > scores.jsonl
  python -m edge_agent score --bundle latest.bundle --csv pump.csv --alarms alarms
      and write the hour around each alarm to alarms/, as CSV and PNG
  arecord -f S16_LE -r 51200 -t wav | python -m edge_agent score --bundle bearing.bundle --wav - --json
  tail -n +1 -f pump.csv | python -m edge_agent score --bundle latest.bundle --csv - --json

--json prints a line a row: {"time": "2020-03-09 10:34:33", "score": 4.1, "anomaly": true,
  "channel": "Pressure"}   channel: the one with the largest part of the score
The first rows are the bundle's warm-up: they score 0, and must be normal running."""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("--bundle", required=True, type=Path, metavar="B", help="the bundle to use")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", metavar="FILE|-", help="the rows; - for standard input")
    source.add_argument(
        "--wav", metavar="FILE|-", help="the signal, for a bundle that was taught with signals"
    )
    parser.add_argument(
        "--rpm", type=_rpm, metavar="N",
        help="with --wav: the shaft's revolutions a minute, for a bundle that looks at orders",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row")
    add_alarms(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what is found."""
    from edge_agent.commands.row_output import listening, watching

    if arguments.wav is not None:
        with listening(arguments.bundle, arguments.wav, arguments.rpm) as (watch, blocks):
            _print(watch, blocks, arguments)
        return 0
    with watching(arguments.bundle, arguments.csv) as (watch, table):
        _print(watch, table.blocks(), arguments)
    return 0


def _rpm(text: str) -> float:
    rpm = float(text)
    if not 0.0 < rpm <= 1e7:
        raise argparse.ArgumentTypeError("must be above 0, and at most 10000000")
    return rpm


def _print(watch: Watch, blocks: Iterable[RowBlock], arguments: argparse.Namespace) -> None:
    from edge_agent.commands.row_output import Printer

    with Printer(watch, arguments) as printer:
        for block in blocks:
            printer.take(block)

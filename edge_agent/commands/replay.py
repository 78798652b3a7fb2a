"""``python -m edge_agent replay``: plays a table at its own pace, as if it happened now."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

from edge_agent.commands.alarms_argument import add_alarms
from edge_agent.commands.errors import CommandError

NAME = "replay"
SUMMARY = "play a recorded table at its own pace, and score it"
DESCRIPTION = """\
Scores the rows of a CSV file as `score` does, each when its time has come, counted from the first
row. --speed 60 plays a minute in a second."""
EXAMPLES = """\
  python -m edge_agent replay --bundle latest.bundle --csv failure.csv --speed 60
  python -m edge_agent replay --bundle latest.bundle --csv failure.csv --json"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("--bundle", required=True, type=Path, metavar="B", help="the bundle to use")
    parser.add_argument("--csv", required=True, metavar="FILE", help="the rows, with a time column")
    parser.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="times as fast (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row")
    add_alarms(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what is found, when its time has come."""
    from edge_agent.commands.row_output import Printer, watching
    from edge_agent.sources.table import RowBlock

    with watching(arguments.bundle, arguments.csv) as (watch, table):
        if table.time_column is None:
            raise CommandError(
                f"{arguments.csv}: has no time column to keep pace with: name one time, or use "
                "`score`"
            )
        with Printer(watch, arguments) as printer:
            begin = first = math.nan
            for block in table.blocks():
                for i, second in enumerate(block.seconds.tolist()):
                    if not math.isnan(second):
                        if math.isnan(first):
                            begin, first = time.monotonic(), second
                        due = begin + (second - first) / arguments.speed
                        time.sleep(max(0.0, due - time.monotonic()))
                    row = RowBlock(
                        times=block.times[i : i + 1],
                        seconds=block.seconds[i : i + 1],
                        rows=block.rows[i : i + 1],
                    )
                    printer.take(row)
    return 0


def _speed(text: str) -> float:
    speed = float(text)
    if not math.isfinite(speed) or speed <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return speed

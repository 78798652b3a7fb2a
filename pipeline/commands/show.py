"""``show RUN``: the steps of a run."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipeline.commands.recipe_arguments import add_root
from pipeline.commands.store_arguments import add_json, open_recorded

NAME = "show"
SUMMARY = "show a run: its steps, their parameters, metrics and artifacts"
DESCRIPTION = """\
Shows a run: each step with its state (made now, or taken from the cache), time, code digest, parameters,
metrics, and the folders of what it made. RUN is a number that `runs` lists, or `latest`."""
EXAMPLES = """\
  python -m pipeline show latest
  python -m pipeline show 12 --json"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("number", metavar="RUN", help="its number, or latest")
    add_root(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints it."""
    from rich.console import Console

    from pipeline.lineage import history
    from pipeline.ui.lineage_view import run_lines

    store = open_recorded(arguments)
    try:
        with store.read() as session:
            shown = history.run(session, arguments.number)
    finally:
        store.close()
    if arguments.json:
        print(json.dumps(shown, indent=1, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        for line in run_lines(shown):
            console.print(line, soft_wrap=True)
    return 0

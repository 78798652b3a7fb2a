"""``diff RUN RUN``: two runs side by side."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipeline.commands.recipe_arguments import add_root
from pipeline.commands.store_arguments import add_json, open_recorded

NAME = "diff"
SUMMARY = "show two runs side by side: parameters, data, code and metrics"
DESCRIPTION = """\
Shows what differs between two runs: parameters, recordings and other data, the code of each step, the
versions of packages; and the metrics of both side by side. RUN is a number that `runs` lists, or
`latest`."""
EXAMPLES = """\
  python -m pipeline diff 11 12
  python -m pipeline diff 11 latest --json"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("first", metavar="RUN", help="its number, or latest")
    parser.add_argument("second", metavar="RUN", help="likewise")
    add_root(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints it."""
    from rich.console import Console

    from pipeline.lineage import history
    from pipeline.ui.lineage_view import difference_lines

    store = open_recorded(arguments)
    try:
        with store.read() as session:
            shown = history.difference(session, arguments.first, arguments.second)
    finally:
        store.close()
    if arguments.json:
        print(json.dumps(shown, indent=1, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        for line in difference_lines(shown):
            console.print(line, soft_wrap=True)
    return 0

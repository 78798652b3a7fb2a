"""``runs``: what has run at a root."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipeline.commands.recipe_arguments import add_root
from pipeline.commands.store_arguments import add_json, open_recorded

NAME = "runs"
SUMMARY = "list the runs, the newest first"
DESCRIPTION = """\
Lists the runs of all recipes, the newest first, with how they ended, how many of their steps were taken
from the cache, and what they released."""
EXAMPLES = """\
  python -m pipeline runs
  python -m pipeline runs --recipe keyword_spotting --count 5 --json"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("--recipe", metavar="RECIPE", help="only runs of this one")
    parser.add_argument(
        "--count", type=int, default=20, metavar="N", help="how many; 0 for all (default: 20)"
    )
    add_root(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints them."""
    from rich.console import Console

    from pipeline.lineage import history
    from pipeline.ui.lineage_view import runs_table

    store = open_recorded(arguments)
    try:
        with store.read() as session:
            listed = history.runs(session, arguments.recipe, arguments.count or None)
    finally:
        store.close()
    if arguments.json:
        print(json.dumps({"runs": listed}, indent=1, ensure_ascii=False))
    else:
        Console(highlight=False).print(runs_table(listed))
    return 0

"""Opening the lineage that --root and --lineage mean; see `recipe_arguments.add_root`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base import UserError

if TYPE_CHECKING:
    from pipeline.lineage.store import LineageStore


def add_json(parser: Any) -> None:
    """Declares --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def open_store(arguments: argparse.Namespace) -> LineageStore:
    """The lineage that is meant, made if it is not there.

    Raises:
        UserError: if it cannot be used.
    """
    from pipeline.lineage.database import parse_url
    from pipeline.lineage.store import LineageStore

    root = Path(arguments.root).absolute()
    if arguments.lineage is not None:
        return LineageStore(parse_url(arguments.lineage), str(root))
    return LineageStore.at(root)


def open_recorded(arguments: argparse.Namespace) -> LineageStore:
    """The lineage that is meant, for commands that look at what was recorded.

    Raises:
        UserError: if there is none yet, or it cannot be used.
    """
    from pipeline.lineage.store import DATABASE

    database = Path(arguments.root).absolute() / DATABASE
    if arguments.lineage is None and not database.is_file():
        raise UserError(
            f"{database}: not there: run a recipe first, or name the --root that one was run at"
        )
    return open_store(arguments)

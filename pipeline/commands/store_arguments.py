"""Opening the lineage that --root and --lineage mean; see `recipe_arguments.add_root`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base import UserError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from pipeline.lineage.store import LineageStore


def add_json(parser: Any) -> None:
    """Declares --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_openlineage(parser: Any) -> None:
    """Declares --openlineage."""
    parser.add_argument(
        "--openlineage",
        metavar="FILE|URL",
        help="send OpenLineage events of the run and its steps there: appended to a file as JSON lines, or "
        "to a collector by http(s), with $OPENLINEAGE_API_KEY if that is set",
    )


def open_store(arguments: argparse.Namespace) -> LineageStore:
    """The lineage that is meant, made if it is not there.

    Raises:
        UserError: if it cannot be used.
    """
    from pipeline.lineage.store import LineageStore

    return LineageStore(*_place(arguments))


def open_telling(arguments: argparse.Namespace, warn: Callable[[str], None]) -> LineageStore:
    """Likewise; with --openlineage what it records is told there, and `warn` what goes wrong with that.

    Raises:
        UserError: if either cannot be used.
    """
    if arguments.openlineage is None:
        return open_store(arguments)
    from pipeline.lineage.openlineage_events import Events
    from pipeline.lineage.telling import TellingStore

    events = Events(arguments.openlineage, warn)
    return TellingStore(*_place(arguments), events)


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


def _place(arguments: argparse.Namespace) -> tuple[URL, str]:
    """The database's URL, and which root is meant in it."""
    from pipeline.lineage.database import parse_url, sqlite_url
    from pipeline.lineage.store import DATABASE

    root = Path(arguments.root).absolute()
    if arguments.lineage is not None:
        return parse_url(arguments.lineage), str(root)
    return sqlite_url(root / DATABASE), ""

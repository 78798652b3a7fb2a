"""``python -m fleet restore``: a fleet out of its backup."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fleet.commands.fleet_arguments import add_root, make_database, tell

NAME = "restore"
SUMMARY = "put a backup into an empty folder and database"
DESCRIPTION = """\
Puts what `backup` wrote into the folder R and its database, which must hold no fleet; another kind of
database than before will do. Devices and operators come with the tokens that they had."""
EXAMPLES = """\
  python -m fleet restore --root var fleet.tar.gz
  python -m fleet restore --root var --database postgresql://user@host/fleet fleet.tar.gz
      from SQLite to PostgreSQL"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_root(parser)
    parser.add_argument("file", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """Puts it back."""
    from fleet.control.backups import restore

    root = arguments.root.absolute()
    database = make_database(arguments)
    try:
        rows = restore(root, database, arguments.file)
    finally:
        database.close()
    text = f"{rows:,} rows are back\nnext: python -m fleet serve --root {arguments.root}"
    tell(arguments, {"root": str(root), "rows": rows}, text)
    return 0

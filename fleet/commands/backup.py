"""``python -m fleet backup``: a fleet in one file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fleet.commands.fleet_arguments import add_root, open_database, tell

NAME = "backup"
SUMMARY = "write the whole fleet to one file; a server may run meanwhile"
DESCRIPTION = """\
Writes the database as it is at one moment, the update repository and the releases' files to FILE, a tar
archive that its owner alone may read. The keys that sign are left out unless --with-keys is given: whoever
has them can release to every device. Tokens are in it as digests, and go on to hold after a restore."""
EXAMPLES = """\
  python -m fleet backup --root var fleet.tar.gz
  python -m fleet backup --root var --with-keys /media/safe/fleet.tar.gz
  python -m fleet restore --root elsewhere fleet.tar.gz"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_root(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="an earlier one is replaced")
    parser.add_argument("--with-keys", action="store_true", help="the signing keys too")


def run(arguments: argparse.Namespace) -> int:
    """Writes it."""
    from fleet.control.backups import all_parts, back_up, public_parts

    parts = all_parts() if arguments.with_keys else public_parts()
    database = open_database(arguments)
    try:
        size = back_up(arguments.root, database, arguments.file, parts)
    finally:
        database.close()
    text = f"{arguments.file}: {size:,} bytes" + ("" if arguments.with_keys else ", without keys")
    tell(arguments, {"file": str(arguments.file), "bytes": size}, text)
    return 0

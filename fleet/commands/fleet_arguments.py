"""Arguments that the commands on a fleet share, and what they open."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.control.standing import Standings
    from fleet.store.database import Database
    from fleet.store.objects import Objects

DATABASE_VARIABLE = "EDGE_FLEET_DATABASE"
STORE_VARIABLE = "EDGE_FLEET_STORE"
FORM: dict[str, Any] = {"allow_abbrev": False, "inherited_absl_flags": None}


def add_root(parser: Any) -> None:
    """Declares ``--root``, ``--database`` and ``--json``."""
    parser.add_argument("--root", required=True, type=Path, metavar="R", help="the fleet's folder")
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE_VARIABLE),
        help=f"of PostgreSQL; default: ${DATABASE_VARIABLE}, else R/fleet.db",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")


def add_tenant(parser: Any) -> None:
    """Declares ``--tenant``."""
    parser.add_argument("--tenant", default="default", metavar="T", help="default: default")


def add_store(parser: Any) -> None:
    """Declares ``--store``."""
    parser.add_argument(
        "--store",
        metavar="URL",
        default=os.environ.get(STORE_VARIABLE),
        help=f"where released files lie, s3://BUCKET/PREFIX; default: ${STORE_VARIABLE}, else R",
    )


def limit(text: str) -> int:
    """How many are listed at most, as a command line says it."""
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10):
        raise argparse.ArgumentTypeError("give a whole number")
    return int(text)


def open_objects(arguments: argparse.Namespace) -> Objects | None:
    """The object store; None if released files lie in the fleet's folder.

    Raises:
        StoreError: if there is no such kind of store.
    """
    if not arguments.store:
        return None
    from fleet.store.objects import Objects

    return Objects(arguments.store)


def open_database(arguments: argparse.Namespace) -> Database:
    """The fleet's database.

    Raises:
        StoreError: if there is no fleet at the root, or the database cannot be used.
    """
    from fleet.store.database import DATABASE, Database, default_url, parse_url
    from fleet.store.errors import StoreError

    if arguments.database is not None:
        return Database(parse_url(arguments.database))
    if not (arguments.root / DATABASE).is_file():
        raise StoreError(
            f"{arguments.root}: there is no fleet: make one with "
            f"`python -m fleet init --root {arguments.root}`, or name its --database"
        )
    return Database(default_url(arguments.root.absolute()))


def make_database(arguments: argparse.Namespace) -> Database:
    """The database of a fleet to come, at a root that is made if it is missing.

    Raises:
        StoreError: if the database cannot be used.
    """
    from fleet.store.database import Database, default_url, parse_url

    root = arguments.root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    given = arguments.database
    return Database(default_url(root) if given is None else parse_url(given))


@contextlib.contextmanager
def writing(arguments: argparse.Namespace) -> Iterator[Standings]:
    """A transaction on the fleet's database at this moment; what changed is settled in the end."""
    from fleet.control.standing import Standings

    database = open_database(arguments)
    try:
        with database.write() as connection:
            standings = Standings(connection, time.time())
            yield standings
            standings.settle()
    finally:
        database.close()


def read(arguments: argparse.Namespace, work: Callable[[Any], Any]) -> Any:
    """What `work` finds in a transaction that reads."""
    database = open_database(arguments)
    try:
        with database.read() as connection:
            return work(connection)
    finally:
        database.close()


def who() -> str:
    """How the audit log calls whoever uses the command line."""
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):
        return "command line"


def tell(arguments: argparse.Namespace, value: Any, text: str) -> None:
    """Prints `value` as a line of JSON if that is asked for, else `text`."""
    print(json.dumps(value) if arguments.json else text)

"""``python -m fleet init``: a fleet in a folder."""

from __future__ import annotations

import argparse
from typing import Any

from fleet.commands.fleet_arguments import add_root, make_database, tell, who

NAME = "init"
SUMMARY = "make a fleet: database, update repository, first tokens"
DESCRIPTION = """\
Makes a fleet in the folder R: its database, the TUF repository of its tenant `default` with development
keys (or takes the one that a pipeline wrote there), an operator called admin who may do everything, and the
token with which a gateway or a new device may come. Both tokens are shown this once."""
EXAMPLES = """\
  python -m fleet init --root var
  python -m fleet init --root var --database postgresql://user@host/fleet"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_root(parser)


def run(arguments: argparse.Namespace) -> int:
    """Makes the fleet; prints its tokens."""
    import time

    from fleet.control import tenants
    from fleet.control.releases import repository_folder
    from fleet.repository import Repository
    from fleet.store.errors import StoreError

    root = arguments.root.absolute()
    database = make_database(arguments)
    try:
        with database.read() as connection:
            if tenants.list_all(connection):
                raise StoreError(
                    f"{database.described()}: holds a fleet already, which `python -m fleet serve` serves; "
                    "for a token that is lost, `fleet tenant token` and `tenant operator-add` give another"
                )
        Repository(repository_folder(root, "default")).start()
        with database.write() as connection:
            now = time.time()
            _, gateway = tenants.add(connection, now, who(), "default")
            admin = tenants.add_operator(connection, now, who(), "admin", "signer")
    finally:
        database.close()
    made = {"root": str(root), "tenant": "default", "admin_token": admin, "gateway_token": gateway}
    tell(
        arguments,
        made,
        f"made a fleet in {root}\nadmin's token:   {admin}\ngateway's token: {gateway}\n"
        "Keep them: they are not shown again. With admin's you log in at the server's pages; with the\n"
        "gateway's (or one of its own, from `device add`) a device comes.\n"
        f"next: python -m fleet serve --root {arguments.root}",
    )
    return 0

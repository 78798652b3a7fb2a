"""``python -m fleet audit``: who changed what."""

from __future__ import annotations

import argparse
from typing import Any

from fleet.commands.fleet_arguments import add_root, limit, read, tell

NAME = "audit"
SUMMARY = "who changed what, newest first"
DESCRIPTION = (
    "Prints the audit log: the operators' changes, and what the rollout engine did and why."
)
EXAMPLES = """\
  python -m fleet audit --root var
  python -m fleet audit --root var --tenant pumps --limit 20 --json"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_root(parser)
    parser.add_argument("--tenant", metavar="T", help="only this one's; default: all")
    parser.add_argument("--limit", type=limit, default=100, metavar="N", help="default: 100")


def run(arguments: argparse.Namespace) -> int:
    """Prints the newest lines."""
    import datetime

    from fleet.control import audit, tenants

    def entries(connection: Any) -> list[dict[str, Any]]:
        tenant = tenants.find(connection, arguments.tenant).id if arguments.tenant else None
        return audit.entries(connection, tenant, arguments.limit)

    found = read(arguments, entries)
    lines = []
    for entry in found:
        moment = datetime.datetime.fromtimestamp(entry["at"], datetime.UTC)
        said = " ".join(f"{key}={value}" for key, value in entry["details"].items() if value)
        lines.append(
            f"{moment:%Y-%m-%d %H:%M:%S}  {entry['who']}: {entry['what']} {entry['subject']}  {said}"
        )
    tell(arguments, {"entries": found}, "\n".join(lines))
    return 0

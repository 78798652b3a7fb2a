"""``python -m fleet tenant``: fleets beside each other, and who may act in them."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

from fleet.commands.fleet_arguments import FORM, add_root, read, tell, who, writing

NAME = "tenant"
SUMMARY = "tenants and operators: add, list, change, token, operator-add, -list, -remove"
DESCRIPTION = """\
A tenant is a fleet by itself: its devices, releases, rollouts and update repository are seen by nobody else.
An operator has a role: viewer (sees), operator (steers rollouts and devices), signer (may do everything)."""
EXAMPLES = """\
  python -m fleet tenant add --root var pumps
  python -m fleet tenant change --root var pumps --poll 60 --confirmation required
  python -m fleet tenant token --root var pumps            a new gateway token
  python -m fleet tenant operator-add --root var anna --role operator --only pumps --days 90
  python -m fleet tenant operator-list --root var
  python -m fleet tenant operator-remove --root var anna"""

_ACTIONS = {
    "add": "make one; prints its gateway token",
    "change": "its time between polls, and whether devices must consent",
    "token": "a new gateway token; the former one counts no more",
    "list": "all tenants",
    "operator-add": "let somebody act; prints the token",
    "operator-list": "who may act, as what, where, and until when",
    "operator-remove": "take the right to act",
}


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in _ACTIONS.items():
        action = actions.add_parser(name, help=text, **FORM)
        add_root(action)
        if name not in ("list", "operator-list"):
            action.add_argument("name", metavar="NAME")
        if name == "change":
            action.add_argument("--poll", type=float, metavar="S", help="seconds between polls")
            action.add_argument(
                "--confirmation", choices=("required", "none"), help="whether devices must consent"
            )
        if name == "operator-add":
            action.add_argument("--role", required=True, choices=("viewer", "operator", "signer"))
            action.add_argument("--only", metavar="TENANT", help="may act in this one alone")
            action.add_argument("--days", type=float, metavar="N", help="how long the token counts")


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked; prints tokens once."""
    from fleet.control import tenants
    from fleet.store.errors import ConflictError

    if arguments.action == "list":
        rows = read(arguments, tenants.list_all)
        told = [
            {"name": r.name, "poll_s": r.poll_s, "confirmation": bool(r.confirmation)} for r in rows
        ]
        tell(arguments, {"tenants": told}, "\n".join(row.name for row in rows))
        return 0
    if arguments.action == "operator-list":
        found = read(arguments, tenants.operators)
        tell(arguments, {"operators": found}, "\n".join(map(_operator, found)))
        return 0
    if arguments.action == "change" and arguments.poll is None and arguments.confirmation is None:
        raise ConflictError(f"tenant {arguments.name}: give --poll or --confirmation")
    with writing(arguments) as standings:
        token = _change(standings.connection, standings.now, arguments)
    told_one = {"name": arguments.name} | ({"token": token} if token else {})
    tell(arguments, told_one, token or f"{arguments.name}: done")
    return 0


def _operator(told: dict[str, Any]) -> str:
    where = f"in {told['only']}" if told["only"] else "in all tenants"
    until = ""
    if told["expires"] is not None:
        until = f"  until {datetime.datetime.fromtimestamp(told['expires']):%Y-%m-%d %H:%M}"
    return f"{told['name']}  {told['role']}  {where}{until}"


def _change(connection: Any, now: float, arguments: argparse.Namespace) -> str:
    from fleet.control import tenants

    name = arguments.name
    match arguments.action:
        case "add":
            return tenants.add(connection, now, who(), name)[1]
        case "token":
            return tenants.renew_gateway_token(connection, now, who(), name)
        case "operator-add":
            only = tenants.find(connection, arguments.only).id if arguments.only else None
            given = (arguments.role, only, arguments.days)
            return tenants.add_operator(connection, now, who(), name, *given)
        case "operator-remove":
            tenants.remove_operator(connection, now, who(), name)
        case _:
            wanted = arguments.confirmation
            tenants.change(
                connection, now, who(), name,
                poll_s=arguments.poll,
                confirmation=None if wanted is None else wanted == "required",
            )  # fmt: skip
    return ""

"""``python -m fleet device``: the devices of a tenant."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator
from typing import Any

from fleet.commands.fleet_arguments import (
    FORM,
    add_root,
    add_tenant,
    limit,
    read,
    tell,
    who,
    writing,
)

NAME = "device"
SUMMARY = "the devices: add, token, revoke, replace, list, show"
DESCRIPTION = """\
add makes a device and prints the token with which it comes; token prints a new one, and the former counts
no more. A device with its tenant's gateway token needs neither: it is registered at its first poll.
revoke is for one that was lost: no token opens its id, and no rollout waits for it; `token` lets it in again.
replace is for other hardware that takes over the id and its history: it prints the token with which that one
comes, and forgets what the former was and ran. A lost device may have held the gateway's token: see
`tenant token`."""
EXAMPLES = """\
  python -m fleet device add --root var pump-17
  python -m fleet device revoke --root var pump-17
  python -m fleet device replace --root var pump-17 > fleet.token
  python -m fleet device list --root var --search pump --json
  python -m fleet device show --root var pump-17"""

_COUNTED = ("triggers", "anomalies", "crashes")
_NOBODY = (
    "no devices: they come with the gateway's token, or with their own, which `device add` prints"
)


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("add", "make one"), ("token", "a new token"), ("revoke", "let it in no more"),
        ("replace", "other hardware takes over"), ("list", "all"), ("show", "its history"),
    ):  # fmt: skip
        action = actions.add_parser(name, help=text, **FORM)
        add_root(action)
        add_tenant(action)
        if name == "list":
            action.add_argument("--search", default="", metavar="TEXT", help="part of the id")
            action.add_argument(
                "--match", default="", metavar="FILTER", help="only such: hardware=pi-*"
            )
            action.add_argument("--after", default="", metavar="ID", help="those that follow it")
            action.add_argument(
                "--limit", type=limit, default=100, metavar="N", help="default: 100"
            )
        else:
            action.add_argument("device", metavar="ID")


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked; prints tokens, or what is known."""
    from fleet.control import devices, handover, telemetry, tenants
    from fleet.control.tokens import REVOKED

    if arguments.action in ("add", "token", "replace"):
        with writing(arguments) as standings:
            connection = standings.connection
            tenant = tenants.find(connection, arguments.tenant).id
            if arguments.action == "replace":
                token = handover.replace(standings, tenant, who(), arguments.device)
            else:
                make = devices.add if arguments.action == "add" else devices.renew_token
                token = make(connection, standings.now, tenant, who(), arguments.device)
        tell(arguments, {"id": arguments.device, "token": token}, token)
        return 0
    if arguments.action == "revoke":
        with writing(arguments) as standings:
            tenant = tenants.find(standings.connection, arguments.tenant).id
            handover.revoke(standings, tenant, who(), arguments.device)
        tell(
            arguments,
            {"id": arguments.device, "revoked": True},
            f"{arguments.device}: no token opens it any more",
        )
        return 0
    if arguments.action == "list":
        found = read(
            arguments,
            lambda c: devices.listing(
                c,
                tenants.find(c, arguments.tenant).id,
                arguments.search,
                arguments.after,
                arguments.limit,
                arguments.match,
            ),
        )
        text = "\n".join(_line(device) for device in found)
        tell(
            arguments,
            {"devices": found},
            text or ("no such device" if arguments.search or arguments.match else _NOBODY),
        )
        return 0

    def show(connection: Any) -> dict[str, Any]:
        row = devices.find(
            connection, tenants.find(connection, arguments.tenant).id, arguments.device
        )
        return {
            "id": row.name,
            "seen": row.seen,
            "revoked": row.token_hash == REVOKED,
            "attributes": row.attributes,
            "actions": devices.history(connection, row.id),
            "telemetry": telemetry.told_by(connection, row.id),
        }

    told = read(arguments, show)
    tell(arguments, told, "\n".join(_lines(told)))
    return 0


def _line(device: dict[str, Any]) -> str:
    installed = device["installed"]
    runs = f"{installed['name']} {installed['version']}" if installed else "-"
    return f"{device['id']}  {runs}  {_polled(device['seen'])}"


def _polled(seen: float | None) -> str:
    if seen is None:
        return "never polled"
    return f"polled {datetime.datetime.fromtimestamp(seen):%Y-%m-%d %H:%M:%S}"


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['id']}: " + ("revoked, " if told["revoked"] else "") + _polled(told["seen"])
    if told["attributes"]:
        yield "says: " + " ".join(f"{n}={v}" for n, v in sorted(told["attributes"].items()))
    for action in told["actions"]:
        yield f"action {action['id']}: {_release(action)}: {action['state']}"
    if not told["actions"]:
        yield "no actions yet"
    for work in told["telemetry"]:
        found = [f"{work[n]} {n}" for n in _COUNTED if work.get(n) is not None]
        yield f"at work with {_release(work)} for {work['hours']:.1f} hours: {', '.join(found)}"


def _release(of: dict[str, Any]) -> str:
    return f"{of['release']['name']} {of['release']['version']}"

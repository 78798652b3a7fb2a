"""``python -m fleet repository``: what is due in an update repository, and its daily signature."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

NAME = "repository"
SUMMARY = "what is due in an update repository: status, refresh"
DESCRIPTION = """\
status says which role expires when, who may sign it, whose key files are here, and which root waits for
whose signatures. refresh signs snapshot and timestamp again, so that devices go on trusting the repository;
run it daily."""
EXAMPLES = """\
  python -m fleet repository status --repository R
  python -m fleet repository status --repository R --json --within 7
  python -m fleet repository refresh --repository R

Exit code 3 of status: a role expires within so many days (default 3), or a root waits for signatures."""

_DUE = 3


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("action", choices=("status", "refresh"))
    parser.add_argument("--repository", required=True, type=Path, metavar="R", help="its folder")
    parser.add_argument(
        "--within", type=float, default=3.0, metavar="DAYS", help="what expires by then is due"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Prints the status, 3 if something is due; or signs again."""
    import dataclasses
    import json
    from datetime import UTC, datetime

    from fleet.repository import refresh
    from fleet.repository.status import roles, waiting

    folder = arguments.repository.absolute()
    if arguments.action == "refresh":
        print(f"valid until {refresh(folder):%Y-%m-%d %H:%M} UTC")
        return 0
    now = datetime.now(UTC)
    found, draft = roles(folder, now), waiting(folder, now)
    due = [role.role for role in found if role.days_left < arguments.within]
    if arguments.json:
        told = {
            "roles": [dataclasses.asdict(role) for role in found],
            "waiting": dataclasses.asdict(draft) if draft else None,
            "due": due,
        }
        print(json.dumps(told))
        return _DUE if due or draft else 0
    print(f"{'role':<10} {'version':>7} {'days left':>9}  signatures  keys (* at hand)")
    for role in found:
        keys = " ".join(f"{keyid[:8]}{'*' * (keyid in role.at_hand)}" for keyid in role.keys)
        need = f"{role.threshold} of {len(role.keys)}"
        print(f"{role.role:<10} {role.version:>7} {role.days_left:>9.1f}  {need:<10}  {keys}")
    for name in due:
        cure = "repository refresh" if name in ("snapshot", "timestamp") else "keys renew"
        print(f"due: {name} expires: run `python -m fleet {cure} --repository {folder}`")
    if draft:
        former, own = draft.missing
        print(
            f"waits: {draft.draft}: {former} signatures of the former root's keys and {own} of its "
            f"own, from among {', '.join(keyid[:8] for keyid in draft.unsigned)}"
        )
    return _DUE if due or draft else 0

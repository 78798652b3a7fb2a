"""``python -m edge_agent revert``: goes back to an earlier version of what was learned here."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_agent.commands.device_arguments import add_device, device_folder
from edge_agent.commands.errors import CommandError

NAME = "revert"
SUMMARY = "go back to an earlier version of what was learned"
DESCRIPTION = """\
Uses another version of what was learned on this device: the one before the present one, or VERSION; 0 is the
bundle as it was shipped. What was heard of the room is forgotten: thresholds are the bundle's again, and
follow the room from there. Versions stay where they are, so a revert can be reverted. A daemon that runs
takes it up within a second or so; a version of another bundle is learned anew on the one that runs."""
EXAMPLES = """\
  python -m edge_agent revert --config agent.toml
  python -m edge_agent revert 0 --root /var/lib/edge_agent

--json prints one line: {"from": 2, "to": 1}"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "version", nargs="?", type=int, metavar="VERSION", help="the version to use"
    )
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Uses the other version, and says so."""
    from edge_agent.adaptation.errors import AdaptationError
    from edge_agent.adaptation.kept_room import forget_room, is_kept
    from edge_agent.adaptation.versions import Versions

    root = device_folder(arguments)
    versions = Versions(root)
    try:
        with versions.locked():
            current = versions.current()
            wanted = arguments.version
            if wanted is None:
                if current == 0 and not is_kept(root):
                    raise CommandError("nothing that was learned is used: there is no way back")
                wanted = max((n for n in versions.numbers() if n < current), default=0)
            if wanted:
                versions.read(wanted)
            versions.use(wanted)
            forget_room(root)
    except AdaptationError as e:
        raise CommandError(str(e)) from e
    if arguments.json:
        print(json.dumps({"from": current, "to": wanted}))
    else:
        print(f"version {wanted} is used{' (as shipped)' if wanted == 0 else ''}; it was {current}")
    return 0

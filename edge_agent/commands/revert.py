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
takes it up within a second or so; a version of another bundle is learned anew on the one that runs.
--anomaly takes back what the watcher learned from its rows: `adapted`, how far normal levels and threshold
have moved since the warm-up; `warm_up`, that and the warm-up itself, which then begins anew."""
EXAMPLES = """\
  python -m edge_agent revert --config agent.toml
  python -m edge_agent revert 0 --root /var/lib/edge-agent
  python -m edge_agent revert --anomaly warm_up --config agent.toml      after the machine was repaired

--json prints one line: {"from": 2, "to": 1}; with --anomaly {"adapted": 1, "warm_up": 0}: how often"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("version", nargs="?", type=int, metavar="VERSION", help="the version to use")
    what.add_argument(
        "--anomaly", choices=("adapted", "warm_up"), help="what the watcher is to forget"
    )
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Uses the other version, or has the watcher forget, and says so."""
    return _use(arguments) if arguments.anomaly is None else _forget(arguments)


def _forget(arguments: argparse.Namespace) -> int:
    import dataclasses

    from edge_agent.adaptation.errors import AdaptationError
    from edge_agent.adaptation.reverts import revert

    try:
        now = revert(device_folder(arguments), arguments.anomaly)
    except AdaptationError as e:
        raise CommandError(str(e)) from e
    if arguments.json:
        print(json.dumps(dataclasses.asdict(now)))
    elif arguments.anomaly == "adapted":
        print("the watcher goes back to what its warm-up taught")
    else:
        print(
            "the watcher forgets its stream: the next rows are its warm-up, and must be normal running"
        )
    return 0


def _use(arguments: argparse.Namespace) -> int:
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

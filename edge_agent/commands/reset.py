"""``python -m edge_agent reset``: a device that changes hands forgets all that it was."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge_agent.commands.device_arguments import device_folder
from edge_agent.commands.errors import CommandError

NAME = "reset"
SUMMARY = "forget all that this device was, as it changes hands"
DESCRIPTION = """\
For a device that changes hands: forgets everything in the device folder, which are bundles, trust, failures,
what was learned here, and what waits to be sent. Stop the daemon first, and name the folder: it is not
guessed. agent.toml, root.json and the token of the fleet server are files of yours, and stay, for they lie
elsewhere; a folder that holds anything that is not the agent's own is not emptied. A device that is only to
trust other keys needs no reset: give it the other root.json, as repository.trusted_root or to `install`."""
EXAMPLES = """\
  python -m edge_agent reset --root /var/lib/edge-agent
  python -m edge_agent reset --config agent.toml --json

--json prints one line: {"root": "/var/lib/edge-agent"}"""

_OURS = {
    "slots", "current", "state.json", "tuf", ".lock", ".daemon.lock", "agent.sock", "adaptations",
    "alarms", "queue", "telemetry.json", "told.json", "progress.json",
}  # fmt: skip


def add_arguments(parser: Any) -> None:
    """Declares what the command takes: the device must be named, for nothing brings back what it was."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, metavar="FILE", help="agent.toml")
    where.add_argument("--root", type=Path, metavar="DEVICE_DIR", help="folder of this device")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Forgets it, and says so."""
    from edge_agent.supervisor.control import ControlError, ask
    from edge_agent.update.errors import UpdateError
    from edge_agent.update.forgetting import FOUND, forget_all
    from edge_agent.update.slots import DeviceFolder

    root = device_folder(arguments).absolute()
    if not (root / "slots").is_dir():
        raise CommandError(f"{root}: is no device folder: it has no slots/: name the right one")
    others = (path for path in sorted(root.iterdir()) if not _is_ours(path.name))
    other = next((path for path in others if path.name != FOUND), None)
    if other is not None:
        raise CommandError(
            f"{other}: no agent made it, and it would go with the device folder: move it elsewhere, or name "
            "the right folder"
        )
    try:
        if ask(root) is not None:
            raise CommandError(f"{root}: the daemon runs: stop it, then try again")
        forget_all(DeviceFolder(root))
    except (ControlError, UpdateError) as e:
        raise CommandError(str(e)) from e
    if arguments.json:
        print(json.dumps({"root": str(root)}))
    else:
        print(f"{root}: nothing is left of what this device was")
    return 0


def _is_ours(name: str) -> bool:
    """Whether an agent makes `name` in its device folder, or what is to become it."""
    return name in _OURS or (name.startswith(".") and name.endswith(".part"))

"""``python -m edge_agent reset``: a device that changes hands forgets all that it was."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_agent.commands.device_arguments import add_device, device_folder
from edge_agent.commands.errors import CommandError

NAME = "reset"
SUMMARY = "forget all that this device was, as it changes hands"
DESCRIPTION = """\
For a device that changes hands: forgets everything in the device folder, which are bundles, trust, failures,
what was learned here, and what waits to be sent. Stop the daemon first. agent.toml and the token of the
fleet server are files of yours, and stay. A device that is only to trust other keys needs no reset: give it
the other root.json, as repository.trusted_root or to `install`."""
EXAMPLES = """\
  python -m edge_agent reset --root /var/lib/edge_agent
  python -m edge_agent reset --config agent.toml --json

--json prints one line: {"root": "/var/lib/edge_agent"}"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Forgets it, and says so."""
    from edge_agent.supervisor.control import ControlError, ask
    from edge_agent.update.errors import UpdateError
    from edge_agent.update.forgetting import forget_all
    from edge_agent.update.slots import DeviceFolder

    root = device_folder(arguments).absolute()
    if not (root / "slots").is_dir():
        raise CommandError(f"{root}: is no device folder: it has no slots/: name the right one")
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

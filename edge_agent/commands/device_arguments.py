"""The device that a command works on: its folder, and what runs there.

Without ``--root`` and ``--config`` that is $STATE_DIRECTORY, else the folder of the installed service.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from edge_agent.commands.errors import CommandError

INSTALLED = Path("/var/lib/edge-agent")


def add_device(parser: Any) -> None:
    """Declares ``--config``, ``--root`` and ``--json``."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--config", type=Path, metavar="FILE", help="agent.toml")
    where.add_argument(
        "--root", type=Path, metavar="DEVICE_DIR",
        help=f"folder of this device (default: $STATE_DIRECTORY, else {INSTALLED})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def device_folder(arguments: argparse.Namespace) -> Path:
    """The device folder.

    Raises:
        CommandError: if agent.toml cannot be used, or the folder is not there.
    """
    root: Path = arguments.root or _named(arguments.config)
    if not root.is_dir():
        raise CommandError(f"{root}: no such folder: nothing was ever installed here")
    return root


def _named(config: Path | None) -> Path:
    from edge_agent.config import ConfigError, device_root, read_config

    if config is not None:
        try:
            return device_root(read_config(config))
        except ConfigError as e:
            raise CommandError(str(e)) from e
    named = os.environ.get("STATE_DIRECTORY")
    if not named and not INSTALLED.is_dir():
        raise CommandError("no device folder: give --config or --root, or set $STATE_DIRECTORY")
    return Path(named) if named else INSTALLED


def keyword_bundle(arguments: argparse.Namespace, root: Path) -> Path:
    """The bundle that the keyword workload runs: that of agent.toml, else that of the current slot.

    Raises:
        CommandError: if there is none.
    """
    from edge_agent.config import read_config
    from edge_agent.update.slots import DeviceFolder

    table = read_config(arguments.config).keyword if arguments.config else None
    if table is not None and table.bundle:
        return Path(table.bundle)
    folder = DeviceFolder(root)
    slot = folder.current()
    if slot is None:
        raise CommandError(f"{root}: no bundle runs here: install one, or name one in agent.toml")
    return folder.bundle(slot)

"""``python -m edge_agent install``: fetches, checks and installs a release."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge_agent.commands.errors import CommandError

NAME = "install"
SUMMARY = "fetch, check and install a release"
DESCRIPTION = """\
Fetches a release through TUF, checks it against the trusted root, tests it here, and makes it the
bundle that runs. The trusted root comes with the device, never from the repository."""
EXAMPLES = """\
  python -m edge_agent install --repository https://example.org/repository \\
      --trusted-root root.json --root /var/lib/edge-agent keyword_spotting
  python -m edge_agent install --repository var/repository --trusted-root var/root.json \\
      --root device keyword_spotting==1.0.2"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument(
        "--repository", required=True, metavar="URL", help="URL or folder of the TUF repository"
    )
    parser.add_argument(
        "--trusted-root", required=True, type=Path, metavar="FILE", help="root.json to trust"
    )
    parser.add_argument(
        "--root", required=True, type=Path, metavar="DEVICE_DIR", help="folder of this device"
    )
    parser.add_argument("request", metavar="NAME[==VERSION]", help="what to install")
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Prints what is installed now."""
    from edge_agent.supervisor.control import watches
    from edge_agent.update import install
    from edge_agent.update.errors import UpdateError

    try:
        installed = install.run(
            arguments.repository,
            arguments.trusted_root,
            arguments.root,
            arguments.request,
            watched=lambda: watches(arguments.root),
        )
    except UpdateError as e:
        raise CommandError(str(e)) from e
    if arguments.json:
        print(json.dumps(installed))
    else:
        for name, value in installed.items():
            print(f"{name}: {value}")
    return 0

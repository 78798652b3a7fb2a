"""``python -m edge_agent run``: the daemon."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge_agent.commands.errors import CommandError

NAME = "run"
SUMMARY = "run the workloads of a device, and its updates"
DESCRIPTION = """\
Runs what agent.toml describes until SIGTERM: one process a workload, started again when it dies or hangs, and
one for updates each time one is due. Events are lines of JSON on standard output. SIGHUP reads agent.toml
again; a bundle that an update has installed is picked up."""
EXAMPLES = """\
  python -m edge_agent run --config agent.toml
  arecord -q -t raw -f S16_LE -r 16000 | python -m edge_agent run --config agent.toml
  python -m edge_agent status --config agent.toml --json        # while it runs

agent.toml:
  [device]
  root = "/var/lib/edge-agent"
  [keyword]
  source = "-"                        # raw 16-bit mono at 16 kHz, or WAV; or a FIFO, or a file
  [anomaly]
  source = "pump.csv"                 # CSV or lines of JSON: a file that grows, a FIFO, or -
  bundle = "pump.bundle"              # default: the release in the device folder"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="agent.toml")


def run(arguments: argparse.Namespace) -> int:
    """Runs the daemon."""
    from edge_agent.config import ConfigError
    from edge_agent.supervisor.control import ControlError
    from edge_agent.supervisor.host import Daemon
    from edge_agent.update.errors import UpdateError

    try:
        return Daemon(arguments.config).run()
    except (ConfigError, ControlError, UpdateError) as e:
        raise CommandError(str(e)) from e

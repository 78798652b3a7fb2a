"""``python -m edge_agent update-once``: looks for a newer release once, and installs it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge_agent.commands.errors import CommandError

NAME = "update-once"
SUMMARY = "look for a newer release once, and install it"
DESCRIPTION = """\
Ends what a killed update left, looks for the highest release, fetches it (by delta where one is smaller),
proves it aside, makes it the one that runs, and tries it there; what fails is rolled back, remembered,
and not tried again. Where a daemon runs that watches new bundles at work (update.probation), it decides.
Exit code 0 if all is well, whether or not there was a newer release; 1 if not."""
EXAMPLES = """\
  python -m edge_agent update-once --config agent.toml
  python -m edge_agent update-once --config agent.toml --json

agent.toml:
  [device]
  root = "/var/lib/edge_agent"
  [repository]
  url = "https://example.org/repository"
  release = "keyword_spotting"
  trusted_root = "root.json"

--json prints one line, whatever comes of it:
  {"from": "1.0.0", "to": "1.0.1", "state": "committed", "bytes_downloaded": 4711, "delta": true,
   "waits": null, "last_error": null}"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="agent.toml")
    parser.add_argument(
        "--now",
        action="store_true",
        help="whatever update.window and update.metered_bytes say",
    )
    parser.add_argument(
        "--watched",
        action="store_true",
        help="leave a new bundle on probation: the daemon that gives this watches it",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Updates once, and prints what came of it."""
    from datetime import datetime

    from edge_agent.compatibility import present
    from edge_agent.config import (
        ConfigError,
        device_root,
        read_config,
        repository,
        update_conditions,
    )
    from edge_agent.supervisor.control import watches
    from edge_agent.update.conditions import Conditions, default_interfaces
    from edge_agent.update.errors import UpdateError
    from edge_agent.update.install import read_trusted_root, repository_url
    from edge_agent.update.repository_client import RepositoryClient
    from edge_agent.update.slots import DeviceFolder
    from edge_agent.update.updater import Updater, Wanted
    from edge_agent.update.waiting import Limits

    try:
        config = read_config(arguments.config)
        source = repository(config)
        folder = DeviceFolder(device_root(config))
        trusted = source.trusted_root
        limits = Limits(
            total_seconds=config.update.time_limit,
            bytes_per_second=config.update.rate_limit,
            disk_bytes=config.update.disk_quota,
        )
        conditions = Conditions() if arguments.now else update_conditions(config)

        def allowance() -> int | None:
            return conditions.most_bytes(datetime.now().time(), default_interfaces())

        def connect() -> RepositoryClient:
            url = repository_url(source.url)
            known = None if trusted is None else read_trusted_root(Path(trusted))
            return RepositoryClient(url, known, folder.metadata, limits)

        with folder.locked():
            wanted = Wanted(name=source.release)
            watched = arguments.watched
            updater = Updater(
                folder,
                connect,
                wanted,
                watched=lambda: watched or watches(folder.root),
                allowance=allowance,
                present=present(config.keyword.runtime if config.keyword else "auto"),
            )
            outcome = updater.run()
    except (ConfigError, UpdateError) as e:
        raise CommandError(str(e)) from e
    memory, fetched = outcome.memory, outcome.fetched
    told = {
        "from": outcome.before and outcome.before.version,
        "to": memory.current and memory.current.version,
        "state": memory.phase.value,
        "bytes_downloaded": fetched.bytes if fetched else 0,
        "delta": bool(fetched and fetched.delta),
        "waits": memory.waits,
        "last_error": memory.last_error,
    }
    if arguments.json:
        print(json.dumps(told))
    else:
        print(
            f"{memory.phase.value}: {told['from']} -> {told['to']}, {told['bytes_downloaded']} bytes"
        )
    if memory.waits is not None and not arguments.json:
        print(memory.waits)
    if outcome.error is not None:
        print(f"error: {outcome.error}", file=sys.stderr)
    return 0 if outcome.error is None else 1

"""``python -m edge_agent update-once``: looks for a newer release once, and installs it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.update.updater import Outcome

NAME = "update-once"
SUMMARY = "look for a newer release once, and install it"
DESCRIPTION = """\
With [fleet] in agent.toml, asks that server what this device should run; else the highest release is meant.
Ends what a killed update left, looks for the release, fetches it (by delta where one is smaller),
proves it aside, makes it the one that runs, and tries it there; what fails is rolled back, remembered,
and not tried again. Where a daemon runs that watches new bundles at work (update.probation), it decides.
Exit code 0 if all is well, whether or not there was a newer release; 1 if not."""
EXAMPLES = """\
  python -m edge_agent update-once --config agent.toml
  python -m edge_agent update-once --config agent.toml --json

agent.toml:
  [device]
  root = "/var/lib/edge-agent"
  [repository]
  url = "https://example.org/repository"
  release = "keyword_spotting"
  trusted_root = "root.json"

--json prints one line, whatever comes of it:
  {"from": "1.0.0", "to": "1.0.1", "state": "committed", "bytes_downloaded": 4711, "delta": true,
   "waits": null, "last_error": null, "poll_s": null}"""


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
    from edge_agent.config import ConfigError, read_config, update_conditions
    from edge_agent.supervisor.control import watches
    from edge_agent.update.conditions import Conditions
    from edge_agent.update.errors import UpdateError
    from edge_agent.update.once import update_once

    try:
        config = read_config(arguments.config)
        conditions = Conditions() if arguments.now else update_conditions(config)
        watched = (lambda root: True) if arguments.watched else watches
        done = update_once(config, conditions, watched)
    except (ConfigError, UpdateError) as e:
        raise CommandError(str(e)) from e
    outcome = done.outcome
    memory, fetched = outcome.memory, outcome.fetched
    told = {
        "from": outcome.before and outcome.before.version,
        "to": memory.current and memory.current.version,
        "state": memory.phase.value,
        "bytes_downloaded": fetched.bytes if fetched else 0,
        "delta": bool(fetched and fetched.delta),
        "waits": memory.waits,
        "last_error": memory.last_error,
        "poll_s": done.poll_s,
    }
    if arguments.json:
        print(json.dumps(told))
    else:
        print(f"{_in_words(outcome)}; {told['bytes_downloaded']} bytes fetched")
        if memory.waits is not None:
            print(memory.waits)
    if outcome.error is not None:
        print(f"error: {outcome.error}", file=sys.stderr)
    return 0 if outcome.error is None else 1


def _in_words(outcome: Outcome) -> str:
    """How it ended, what runs, and in whose place if that is new."""
    before, memory = outcome.before, outcome.memory
    now = memory.candidate if memory.phase.value == "probation" else memory.current
    if now is None:
        return f"{memory.phase.value}: nothing runs yet"
    instead = ""
    if before is not None and before.digest != now.digest:
        instead = f", in the place of {before.version}"
    return f"{memory.phase.value}: {now.version} runs{instead}"

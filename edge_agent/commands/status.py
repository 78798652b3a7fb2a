"""``python -m edge_agent status``: what runs on this device, and what came of the last update."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_agent.commands.device_arguments import add_device, device_folder
from edge_agent.commands.errors import CommandError

NAME = "status"
SUMMARY = "what runs here, and what came of the last update"
DESCRIPTION = """\
Says what runs on this device, where an update stands, and which bundles failed here and why; and, while
the daemon runs, how its workloads are. It reads the device folder, asks the daemon, and changes nothing."""
EXAMPLES = """\
  python -m edge_agent status --json               # of the service, or $STATE_DIRECTORY
  python -m edge_agent status --config agent.toml
  python -m edge_agent status --root /var/lib/edge-agent --json

--json prints one line:
  {"bundle": path or null, "name": .., "version": .., "digest": .., "slot": "a", "state": "committed",
   "candidate": version under way or null, "waits": null, "last_error": null,
   "failed": [{"digest", "version", "reason"}, ..],
   "daemon": null, or {"pid", "uptime_s", "workloads": {"keyword": {"state", "error", ..}}, "updates"}}"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what the device folder says."""
    import dataclasses

    from edge_agent.supervisor.control import ControlError, ask
    from edge_agent.update.machine import RESTING
    from edge_agent.update.slots import DeviceFolder

    folder = DeviceFolder(device_folder(arguments))
    try:
        daemon = ask(folder.root)
    except ControlError as e:
        raise CommandError(str(e)) from e
    memory = folder.memory()
    running = folder.running(memory)
    under_way = None if memory.phase in RESTING else memory.candidate
    told: dict[str, Any] = {
        "bundle": str(folder.bundle(running.slot)) if running else None,
        "name": running and running.name,
        "version": running and running.version,
        "digest": running and running.digest,
        "slot": running and running.slot,
        "state": memory.phase.value,
        "candidate": under_way and under_way.version,
        "waits": memory.waits,
        "last_error": memory.last_error,
        "failed": [dataclasses.asdict(failure) for failure in memory.failed],
        "daemon": daemon,
    }
    if arguments.json:
        print(json.dumps(told))
    else:
        failed = [f"{failure.version} ({failure.reason})" for failure in memory.failed]
        daemon_s = _in_words(daemon, told["digest"])
        for name, value in (told | {"failed": "; ".join(failed), **daemon_s}).items():
            print(f"{name}: {value or '-'}")
    return 0


def _in_words(daemon: dict[str, Any] | None, release: str | None) -> dict[str, str]:
    """What the daemon says, a line a workload; with its bundle, where that is not the release."""
    if daemon is None:
        return {"daemon": "does not run"}
    lines = {"daemon": f"runs as process {daemon.get('pid')}"}
    for name, workload in daemon.get("workloads", {}).items():
        error, bundle = workload.get("error"), workload.get("bundle") or {}
        other = f" {bundle.get('path')}" if bundle.get("digest") not in (None, release) else ""
        lines[name] = f"{workload.get('state')}{other}{f' ({error})' if error else ''}"
    return lines

"""``python -m edge_agent adaptations``: what was learned on this device, version by version."""

from __future__ import annotations

import argparse
import json
from typing import Any

from edge_agent.commands.device_arguments import add_device, device_folder

NAME = "adaptations"
SUMMARY = "what was learned on this device"
DESCRIPTION = """\
Lists the versions of what was learned on this device with `enroll`, the oldest first, and which one is used;
0 is the bundle as it was shipped."""
EXAMPLES = """\
  python -m edge_agent adaptations --config agent.toml
  python -m edge_agent adaptations --root /var/lib/edge_agent --json

--json prints one line:
  {"current": 2, "versions": [{"version": 1, "bundle": .., "words": {"lamp": 8}, "heard": {..},
   "check_before": .., "check_after": .., "distance": ..}, {"version": 2, "damaged": "why"}]}"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the versions."""
    from edge_agent.adaptation.errors import AdaptationError
    from edge_agent.adaptation.versions import Versions

    versions = Versions(device_folder(arguments))
    current = versions.current()
    found: list[dict[str, Any]] = []
    for number in versions.numbers():
        try:
            found.append(versions.read(number).as_json())
        except AdaptationError as e:
            found.append({"version": number, "damaged": str(e)})
    if arguments.json:
        print(json.dumps({"current": current, "versions": found}))
        return 0
    print(f"{'*' if current == 0 else ' '}    0  as shipped")
    for each in found:
        mark = "*" if each["version"] == current else " "
        print(f"{mark} {each['version']:4d}  {_in_words(each)}")
    return 0


def _in_words(version: dict[str, Any]) -> str:
    if "damaged" in version:
        return str(version["damaged"])
    words = ", ".join(f"{word} ({count})" for word, count in version["words"].items())
    return (
        f"{words} · check set {version['check_before']:.4f} -> {version['check_after']:.4f} · "
        f"distance {version['distance']:.4f} · bundle {version['bundle'][:12]}"
    )

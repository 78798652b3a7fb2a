"""``python -m edge_agent adaptations``: what was learned on this device, version by version."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from edge_agent.commands.device_arguments import add_device, device_folder

NAME = "adaptations"
SUMMARY = "what was learned on this device"
DESCRIPTION = """\
Lists the versions of what was learned on this device with `enroll`, the oldest first, and which one is used;
0 is the bundle as it was shipped. And what was heard of the room: how far thresholds have followed it; and
what the watcher learned from its rows, by bundle."""
EXAMPLES = """\
  python -m edge_agent adaptations --config agent.toml
  python -m edge_agent adaptations --root /var/lib/edge-agent --json

--json prints one line:
  {"current": 2, "versions": [{"version": 1, "bundle": .., "words": {"lamp": 8}, "heard": {..},
   "check_before": .., "check_after": .., "distance": ..}, {"version": 2, "damaged": "why"}],
   "room": null, or {"bundle": .., "version": 2, "heard": {"hours": 7.5, "near": 31.0}, "accepts": 1.4,
   "drift": 0.03},
   "anomaly": [{"bundle": .., "source": "pump.csv", "distance": 0.12}]}
accepts: what the thresholds accept falsely in a room like the one they were chosen for, as a multiple;
distance: how far normal levels have moved since the warm-up, at most, in normal deviations."""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the versions."""
    from edge_agent.adaptation.errors import AdaptationError
    from edge_agent.adaptation.kept_room import read_room
    from edge_agent.adaptation.versions import Versions
    from edge_agent.watching.kept import KeptStreams

    root = device_folder(arguments)
    versions, room, streams = Versions(root), read_room(root), KeptStreams(root).all()
    current = versions.current()
    found: list[dict[str, Any]] = []
    for number in versions.numbers():
        try:
            found.append(versions.read(number).as_json())
        except AdaptationError as e:
            found.append({"version": number, "damaged": str(e)})
    if arguments.json:
        told = {
            "current": current,
            "versions": found,
            "room": room and dataclasses.asdict(room),
            "anomaly": [stream.as_json() for stream in streams],
        }
        print(json.dumps(told))
        return 0
    print(f"{'*' if current == 0 else ' '}    0  as shipped")
    for each in found:
        mark = "*" if each["version"] == current else " "
        print(f"{mark} {each['version']:4d}  {_in_words(each)}")
    if room is not None:
        print(
            f"room: thresholds moved by {room.drift:.4f} at most, to accept {room.accepts:.2f} times as "
            f"much; {room.heard.near:.1f} near misses in {room.heard.hours:.1f} h (older ones fade) · "
            f"bundle {room.bundle[:12]}"
        )
    for stream in streams:
        print(
            f"  watched {stream.source} · levels moved by {stream.drift:.2f} deviations at most · "
            f"bundle {stream.bundle[:12]}"
        )
    return 0


def _in_words(version: dict[str, Any]) -> str:
    if "damaged" in version:
        return str(version["damaged"])
    words = ", ".join(f"{word} ({count})" for word, count in version["words"].items())
    return (
        f"{words} · check set {version['check_before']:.4f} -> {version['check_after']:.4f} · "
        f"distance {version['distance']:.4f} · bundle {version['bundle'][:12]}"
    )

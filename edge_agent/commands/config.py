"""``python -m edge_agent config``: an example of agent.toml, and whether one can be used."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge_agent.commands.errors import CommandError

NAME = "config"
SUMMARY = "print an example of agent.toml, or check one"
DESCRIPTION = """\
Prints an agent.toml with every setting there is, or says whether one can be used by the daemon."""
EXAMPLES = """\
  python -m edge_agent config --example > agent.toml
  python -m edge_agent config --check agent.toml"""

EXAMPLE = """\
# The settings of one device. Lines that begin with # and no space are settings that are off; paths are taken
# from this file's folder. `python -m edge_agent config --check FILE` says what is wrong with a file.

[device]
#id = "pump-7"                        # what events call it; default: the host name
#root = "/var/lib/edge-agent"         # the device folder; default: $STATE_DIRECTORY

# Where releases come from. Without it or [fleet], nothing is updated.
#[repository]
#url = "https://example.org/repository"   # default: the fleet server's
#release = "keyword_spotting"         # the line of releases that this device follows
#trusted_root = "root.json"           # until a root is trusted here; never from the repository

# A server that says what this device should run: our fleet server, or another that speaks hawkBit's DDI.
#[fleet]
#url = "https://fleet.example.org"
#tenant = "default"
#token_file = "fleet.token"           # holds the token by which the server knows this device
#token = "target"                     # the device's own; or "gateway"
#attributes = {hardware = "pi-4"}     # what else the server is told, for filters

[update]
poll = 3600.0                         # seconds from one look to the next; a fleet server may say otherwise
time_limit = 900.0                    # seconds for all that one update fetches
probation = 600.0                     # seconds that a new bundle is watched at work before it is kept; 0: not
#rate_limit = 65536                   # bytes a second
#window = "02:00-04:30"               # when a release may be fetched and installed; by this device's clock
#metered_bytes = 0                    # the most that a release may take over a metered network
metered_interfaces = ["wwan*", "ppp*"]
#disk_quota = 67108864                # bytes that the device folder may hold

[keyword]
source = "-"                          # raw 16-bit mono at 16 kHz, or WAV: -, a FIFO, or a file
                                      # or microphone: of this device (extra `microphone`), microphone:hw:1,0
                                      # or wyoming:HOST:PORT, a microphone of the Wyoming protocol
                                      # or wyoming-wake:127.0.0.1:10400, to be a wake-word service of it
#bundle = "words.bundle"              # default: the release in the device folder
runtime = "auto"                      # auto, litert or tflite_runtime
threads = 1                           # of one inference
#delegate = "libedgetpu.so.1"         # a library that takes over what it can of the model
sinks = ["stdout", "mqtt", "webhook"]

#[anomaly]
#source = "pump.csv"                  # CSV or lines of JSON: a file that grows, a FIFO, -, or mqtt:TOPIC
#bundle = "pump.bundle"               # default: the release in the device folder
#sinks = ["stdout", "mqtt", "webhook"]
#alarm_bytes = 8388608                # what alarms/ in the device folder may hold: the hour around each
                                      # alarm as CSV, and as PNG (extra `pictures`); the oldest go; 0: none

[adaptation]
room = "follow"                       # thresholds of words follow the room, as far as the bundle allows;
                                      # or "shipped": they stay

# An MQTT 5 broker. Events wait in the device folder until it has them.
#[mqtt]
#host = "localhost"
#port = 1883
#topic = "edge"                       # before the device's id in all topics
#user = "pump-7"
#password_file = "mqtt.password"
#ca_file = "ca.pem"                   # then by TLS
#queue_bytes = 4194304                # what may wait; the oldest goes

# A web server that gets each event as a POST of JSON.
#[webhook]
#url = "https://example.org/events"
#token_file = "webhook.token"         # sent as a bearer token
#queue_bytes = 4194304

# Metrics for Prometheus, at http://127.0.0.1:PORT/metrics
#[metrics]
#port = 9464

# How workloads are waited for and started again; seconds
[limits]
start = 30.0                          # from the start of a process to its first sign of life
hang = 20.0                           # without a sign of life
drain = 10.0                          # from SIGTERM to the end
steady = 120.0                        # alive for so long, it counts as well again
first_wait = 1.0                      # before the second start; then twice as long each time
longest_wait = 60.0
crashes = 5                           # deaths in a row that make a crash loop
"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--example", action="store_true", help="print an example with comments")
    what.add_argument("--check", type=Path, metavar="FILE", help="say whether this one can be used")


def run(arguments: argparse.Namespace) -> int:
    """Prints the example, or what is wrong with a file."""
    from edge_agent.config import ConfigError, device_root, read_runnable

    if arguments.example:
        print(EXAMPLE, end="")
        return 0
    try:
        config = read_runnable(arguments.check)
    except ConfigError as e:
        raise CommandError(str(e)) from e
    print(f"{arguments.check}: can be used")
    try:
        device_root(config)
    except ConfigError as e:
        print(f"outside a service it cannot yet: {e}")
    return 0

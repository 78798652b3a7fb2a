"""``python -m fleet simulate``: a rollout over a simulated fleet."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

NAME = "simulate"
SUMMARY = "send simulated devices through a rollout, over real HTTP"
DESCRIPTION = """\
Devices that poll, install and report over real HTTP, some of which fail or fall silent, go through a rollout:
a canary of the devices in the ring `canary`, then waves. It prints what the fleet went through, and checks
that nobody was given what is not theirs, that a halted rollout touched nobody else, and that every action
ended. Without --url it starts a server of its own, in a folder that goes with it. One that is named must run
with --clock simulated; $EDGE_FLEET_TOKEN is an operator's token, $EDGE_FLEET_GATEWAY_TOKEN its tenant's."""
EXAMPLES = """\
  python -m fleet simulate --devices 1000
  python -m fleet simulate --devices 20000 --bad-model 0.8 --json
      a model that is good in the canary and bad in the field: the rollout halts in the first wave
  python -m fleet simulate --devices 2000 --drift 3
      a model that works and triggers thrice as often: telemetry halts it in the canary
  python -m fleet simulate --url http://127.0.0.1:8081 --release keyword_spotting==1.0.0 --devices 500

Exit code 1: something did not hold; the output says what."""


_BAKE_S = 3600.0


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("--url", metavar="U", help="of a server; default: one of its own")
    parser.add_argument("--release", metavar="NAME==VERSION", help="on the server of --url")
    parser.add_argument("--tenant", default="default", metavar="T", help="default: default")
    parser.add_argument("--devices", type=int, default=1000, metavar="N", help="default: 1000")
    for name, default, text in (
        ("failure-rate", 0.02, "share of devices that report a failure"),
        ("silent-rate", 0.01, "share that is never heard of again"),
        ("bad-model", 0.0, "share outside the canary that fails beside those"),
    ):
        parser.add_argument(
            f"--{name}", type=float, default=default, metavar="SHARE",
            help=f"{text} (default: {default:g})",
        )  # fmt: skip
    parser.add_argument(
        "--drift", type=float, metavar="TIMES",
        help="devices tell of their work, and find so many times as much with the release as before",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Simulates; 1 if something did not hold."""
    import asyncio

    import uvloop

    from fleet.simulator.device import Behaviour, Violation
    from fleet.simulator.http_client import ConnectionLost
    from fleet.simulator.own_server import RELEASE, own_server
    from fleet.simulator.simulation import Setting, simulate, standard_plan
    from fleet.store.errors import StoreError

    if arguments.devices < 1:
        raise StoreError("--devices: give at least 1")
    if arguments.drift is not None and not 0 < arguments.drift <= 1000:
        raise StoreError("--drift: give a number above 0, up to 1000")
    common: dict[str, Any] = {
        "devices": arguments.devices,
        "seed": arguments.seed,
        "behaviour": Behaviour(
            failure_rate=arguments.failure_rate,
            silent_rate=arguments.silent_rate,
            bad_rate=arguments.bad_model,
            drift=arguments.drift,
        ),
    }
    plan = standard_plan(0.0 if arguments.drift is None else _BAKE_S)

    def simulated(setting: Setting) -> dict[str, Any]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                return runner.run(simulate(setting, plan, _tell))
            except (ConnectionLost, Violation) as e:
                raise StoreError(f"{setting.url}: {e}") from e

    if arguments.url is None:
        with own_server() as server:
            setting = Setting(
                url=server.url,
                operator_token=server.operator_token,
                gateway_token=server.gateway_token,
                release=RELEASE,
                **common,
            )
            told = simulated(setting)
            told["server_peak_mb"] = round(server.peak_mb(), 1)
    else:
        tokens = [os.environ.get(n, "") for n in ("EDGE_FLEET_TOKEN", "EDGE_FLEET_GATEWAY_TOKEN")]
        name, _, version = (arguments.release or "").partition("==")
        if not all(tokens) or not version:
            raise StoreError(
                "--url: give --release NAME==VERSION, $EDGE_FLEET_TOKEN and $EDGE_FLEET_GATEWAY_TOKEN"
            )
        setting = Setting(
            url=arguments.url,
            tenant=arguments.tenant,
            operator_token=tokens[0],
            gateway_token=tokens[1],
            release=(name, version),
            **common,
        )
        told = simulated(setting)
    print(json.dumps(told) if arguments.json else _text(told))
    return 1 if told["violations"] else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _text(told: dict[str, Any]) -> str:
    rollout = told["rollout"]
    lines = [
        f"{told['devices']} devices, {told['simulated_hours']} simulated hours in {told['seconds']} s: "
        f"{told['requests_per_second']:.0f} requests a second",
        f"the rollout is {rollout['state']}"
        + (f": {rollout['reason']}" if rollout["reason"] else ""),
    ]
    for group in rollout["groups"]:
        lines.append(
            f"  {group['name']:<8} {group['devices']:>7} devices: touched {group['touched']}, "
            f"success {group['success']}, error {group['error']}, timed out {group['timed_out']}"
        )
    if "server_peak_mb" in told:
        lines.append(f"the server took up to {told['server_peak_mb']:.0f} MB")
    lines += [f"does not hold: {violation}" for violation in told["violations"]]
    return "\n".join(lines)

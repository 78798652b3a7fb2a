"""A rollout over a simulated fleet, from its creation to its end, and what must hold of it.

The server's clock is driven from here: in each step every device that is not silent polls once, in random
order, and then the time between two polls passes. A device that is shown an action reports at its next
poll. The simulation ends when the rollout does; a halted one is watched for some steps more.

What is checked:

* A device is shown one action, of the release that the rollout is of, and none after it ended.
* No device is shown the release after the server said that the rollout is halted.
* What the server counts is what the devices did, and no action is left open in the end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from fleet.rollout.plan import Group, Plan, encode
from fleet.rollout.quality import Quality
from fleet.simulator.device import CANARY_RING, Behaviour, Device, Violation
from fleet.simulator.http_client import ConnectionLost, HttpConnection
from fleet.simulator.progress import Progress, steps_left

STEP_S = 300.0
_EXPOSURE = 20
_RAMP = 3.0
_LOOK_UP = 256  # polls after which the progress is looked at
_AFTERWARDS = 3  # steps for which a halted rollout is watched
_OVER = ("halted", "finished", "aborted")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What is simulated.

    Attributes:
        url: of the server, ``http://HOST:PORT``, which must run on a simulated clock.
        tenant: whose devices they are.
        operator_token: of one who may steer rollouts.
        gateway_token: the tenant's.
        release: name and version of the release.
        devices: how many.
        canary_share: of them are in the ring that the plan's canary may select by ``ring=canary``.
        behaviour: how they fare.
        seed: of all that is drawn.
        connections: to the server at once.
        most_steps: after which the simulation gives up.
    """

    url: str
    tenant: str = "default"
    operator_token: str
    gateway_token: str
    release: tuple[str, str]
    devices: int = 1000
    canary_share: float = 0.01
    behaviour: Behaviour = dataclasses.field(default_factory=Behaviour)
    seed: int = 1
    connections: int = 256
    most_steps: int = 500


def standard_plan(bake_s: float = 0.0) -> Plan:
    """The ring `canary`, then a tenth of the others, then the rest.

    Args:
        bake_s: seconds for which each group works before the next begins.
    """

    def group(name: str, *, matches: str = "", percent: float = 0.0) -> Group:
        return Group(
            name=name,
            matches=matches,
            percent=percent,
            success_threshold=0.9,
            error_threshold=0.15,
            minimum_sample=20,
            exposure=_EXPOSURE,
            ramp=_RAMP,
            bake_s=bake_s,
        )

    return Plan(
        groups=(
            group("canary", matches=f"ring={CANARY_RING}"),
            group("wave-1", percent=10),
            group("wave-2", percent=90),
        ),
        target="hardware=simulated",
        time_out_s=1800.0,
        quality=Quality(least_hours=0.5),
    )


def _to_nobody(_line: str) -> None:
    pass


async def simulate(
    setting: Setting, plan: Plan, tell: Callable[[str], None] = _to_nobody
) -> dict[str, Any]:
    """Runs it; gives what the fleet went through, with ``violations`` of what must hold.

    Args:
        setting: what is simulated.
        plan: of the rollout.
        tell: takes lines on how far it is.

    Raises:
        OSError: if the server cannot be reached.
        Violation: if it refuses to be driven.
    """
    return await _Simulation(setting, plan, tell).run()


class _Simulation:
    def __init__(self, setting: Setting, plan: Plan, tell: Callable[[str], None]) -> None:
        self._setting = setting
        self._plan = plan
        self._random = random.Random(setting.seed)
        canaries = max(1, round(setting.canary_share * setting.devices))
        self._devices = [
            Device(
                f"sim-{number:07d}",
                CANARY_RING if number < canaries else "field",
                setting.behaviour,
                self._random,
            )
            for number in range(setting.devices)
        ]
        self._operator = HttpConnection(setting.url)
        self._connections = [HttpConnection(setting.url) for _ in range(setting.connections)]
        self._violations: list[str] = []
        self._requests = 0
        self._now = 0.0
        self._progress = Progress(setting.devices, tell)

    async def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            await self._step()  # all register, and say what they are
            name, version = self._setting.release
            body = {"release": {"name": name, "version": version}, "plan": encode(self._plan)}
            rollout = (await self._ask("POST", "rollouts", body))["id"]
            status = await self._ask("POST", f"rollouts/{rollout}/start", {})
            sha256 = await self._sha256()
            steps = halted_for = 0
            touched_when_halted = None
            growth, wait = 0.0, round(self._plan.time_out_s / STEP_S)
            while steps < self._setting.most_steps:
                await self._step()
                steps += 1
                before, status = status, await self._ask("GET", f"rollouts/{rollout}")
                growth = _growth(before["groups"], status["groups"]) or growth
                left = steps_left(status["groups"], _EXPOSURE, growth, wait)
                self._progress.stepped(status["groups"], left)
                if status["state"] == "halted" and touched_when_halted is None:
                    touched_when_halted = self._shown()
                if status["state"] in _OVER and not _in_flight(status):
                    halted_for += 1
                    if status["state"] == "finished" or halted_for >= _AFTERWARDS:
                        break
            self._check(status, sha256, touched_when_halted)
        finally:
            for connection in (self._operator, *self._connections):
                connection.close()
        seconds = time.perf_counter() - began
        return {
            "devices": len(self._devices),
            "rollout": {name: status[name] for name in ("id", "state", "reason", "groups")},
            "steps": steps,
            "simulated_hours": round(self._now / 3600, 2),
            "outcomes": dict(Counter(d.outcome or "untouched" for d in self._devices)),
            "requests": self._requests,
            "seconds": round(seconds, 2),
            "requests_per_second": round(self._requests / seconds, 1),
            "violations": self._violations,
        }

    async def _step(self) -> None:
        talking = [device for device in self._devices if not device.is_silent]
        self._random.shuffle(talking)
        order = iter(talking)
        base = f"/{self._setting.tenant}/controller/v1"
        token = f"GatewayToken {self._setting.gateway_token}"
        polled = 0

        async def work(connection: HttpConnection) -> None:
            nonlocal polled
            for device in order:
                polled += 1
                if polled % _LOOK_UP == 0:
                    self._progress.polled(polled, len(talking))
                try:
                    requests = await device.live(connection, base, token, self._now)
                    requests += await device.tell(
                        connection, base, token, self._setting.release, STEP_S / 3600
                    )
                    self._requests += requests
                except Violation as e:
                    self._violations.append(str(e))
                except ConnectionLost:
                    pass  # the device asks again at its next poll

        await asyncio.gather(*(work(connection) for connection in self._connections))
        await self._call("POST", "/api/v1/clock", {"advance_s": STEP_S})
        self._now += STEP_S

    def _shown(self) -> int:
        return sum(device.action is not None for device in self._devices)

    def _check(self, status: dict[str, Any], sha256: str, when_halted: int | None) -> None:
        violations, groups = self._violations, status["groups"]
        shown = self._shown()
        if when_halted is not None and shown != when_halted:
            violations.append(f"{shown - when_halted} devices were touched after the halt")
        if _in_flight(status):
            violations.append(f"{_in_flight(status)} actions are open in the end")
        if status["state"] not in _OVER:
            violations.append(f"the rollout is {status['state']} in the end")
        did = Counter(device.outcome for device in self._devices if device.action is not None)
        for theirs, ours in (("success", "success"), ("error", "failure"), ("timed_out", "silent")):
            counted = sum(group[theirs] for group in groups)
            if counted != did[ours]:
                violations.append(f"the server counts {counted} {theirs}, the devices {did[ours]}")
        if sum(group["touched"] for group in groups) != shown:
            violations.append(f"the server touched another number of devices than {shown}")
        wrong = sum(device.sha256 not in ("", sha256) for device in self._devices)
        if wrong:
            violations.append(f"{wrong} devices were given another release")
        numbers = [device.action for device in self._devices if device.action is not None]
        if len(set(numbers)) != len(numbers):
            violations.append("two devices were shown one action")

    async def _sha256(self) -> str:
        found: Sequence[dict[str, Any]] = (await self._ask("GET", "releases"))["releases"]
        return next(
            r["sha256"] for r in found if (r["name"], r["version"]) == self._setting.release
        )

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        return await self._call(method, f"/api/v1/{self._setting.tenant}/{path}", body)

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        token = f"Bearer {self._setting.operator_token}"
        status, answer = await self._operator.request(method, path, token, body)
        if status not in (200, 201):
            raise Violation(f"{method} {path}: {status} {answer.decode(errors='replace')[:300]}")
        return json.loads(answer)


def _in_flight(status: dict[str, Any]) -> int:
    return sum(group["in_flight"] for group in status["groups"])


def _growth(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> float:
    """How many times as many devices a group has touched that is on its way; 0 if none tells."""
    for old, new in zip(before, after, strict=True):
        if _EXPOSURE <= old["touched"] < new["touched"] < new["devices"]:
            return float(new["touched"] / old["touched"])
    return 0.0

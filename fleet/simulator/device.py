"""A simulated device: it polls, installs what it is shown, and then reports, fails, or falls silent."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Mapping
from urllib.parse import urlsplit

from fleet.simulator.http_client import HttpConnection

CANARY_RING = "canary"
_FOUND_AN_HOUR = 12.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the devices of a fleet fare with a release; shares from 0 to 1.

    Attributes:
        failure_rate: of them report a failure.
        silent_rate: of them are never heard of again once they were shown it.
        bad_rate: of those outside the canary's ring fail with it: a model that is bad in the field alone.
        drift: how many times as often as before the release makes a device find something; None if devices
            tell nothing of their work.
    """

    failure_rate: float = 0.02
    silent_rate: float = 0.01
    bad_rate: float = 0.0
    drift: float | None = None


class Violation(Exception):
    """The server answered what it must not."""


class Device:
    """One device.

    Args:
        name: its id.
        ring: what it says of itself in the attribute ``ring``.
        behaviour: how the fleet fares.
        random_: decides for this device.
        attributes: what it says of itself besides.
    """

    def __init__(
        self,
        name: str,
        ring: str,
        behaviour: Behaviour,
        random_: random.Random,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._attributes = {"ring": ring, "hardware": "simulated", **(attributes or {})}
        self.ring = ring
        drawn = random_.random()
        bad = ring != CANARY_RING and random_.random() < behaviour.bad_rate
        self.falls_silent = drawn < behaviour.silent_rate
        self.fails = bad or drawn < behaviour.silent_rate + behaviour.failure_rate
        self.action: int | None = None
        self.sha256 = ""
        self.outcome = ""
        self.shown_at: float | None = None
        self._drift = behaviour.drift
        self._habit = math.exp(random_.gauss(0.0, 0.5))  # some rooms are livelier than others
        self._draw: random.Random | None = None  # 2.5 kB, of which few simulations have a use
        if behaviour.drift is not None:
            self._draw = random.Random(random_.random())
        self._reports = 0

    @property
    def is_silent(self) -> bool:
        """Whether it is never heard of again."""
        return self.outcome == "silent"

    async def live(self, connection: HttpConnection, base: str, token: str, now: float) -> int:
        """One poll, and what follows from it; gives the number of requests.

        Args:
            connection: to the server.
            base: path of the tenant's controllers.
            token: the Authorization header.
            now: the simulated moment.

        Raises:
            Violation: if the server answers what it must not.
        """
        here = f"{base}/{self.name}"
        links = json.loads(await self._get(connection, here, token))["_links"]
        requests = 1
        if "configData" in links:
            said = {"mode": "replace", "data": self._attributes}
            await self._send(connection, "PUT", _path(links["configData"]["href"]), token, said)
            requests += 1
        if "deploymentBase" not in links:
            return requests
        path = _path(links["deploymentBase"]["href"])
        answer = json.loads(await self._get(connection, path, token))
        requests += 1
        number = int(answer["id"])
        if self.outcome or (self.action is not None and self.action != number):
            raise Violation(
                f"{self.name}: shown action {number} after {self.action} {self.outcome}"
            )
        if self.action is None:
            self.action, self.shown_at = number, now
            (chunk,) = answer["deployment"]["chunks"]
            (artifact,) = chunk["artifacts"]
            self.sha256 = artifact["hashes"]["sha256"]
            if self.falls_silent:
                self.outcome = "silent"
            return requests
        finished = "failure" if self.fails else "success"
        report = {"status": {"execution": "closed", "result": {"finished": finished}}}
        feedback = f"{path.partition('?')[0]}/feedback"
        await self._send(connection, "POST", feedback, token, report)
        self.outcome = finished
        return requests + 1

    async def tell(
        self,
        connection: HttpConnection,
        base: str,
        token: str,
        release: tuple[str, str],
        hours: float,
    ) -> int:
        """What it found in the last `hours`, if it tells of that; gives the number of requests.

        Raises:
            Violation: if the server answers what it must not.
        """
        if self._drift is None or self._draw is None:
            return 0
        updated = self.outcome == "success"
        mean = _FOUND_AN_HOUR * self._habit * hours * (self._drift if updated else 1.0)
        name, version = release
        self._reports += 1
        work = {
            "release": {"name": name, "version": version if updated else f"{version}-before"},
            "sequence": self._reports,
            "hours": hours,
            "triggers": _poisson(self._draw, mean),
            "inferences": round(hours * 3600 * 10),
            "busy_ms": hours * 3600 * 10 * self._draw.uniform(0.9, 1.1),
        }
        await self._send(connection, "POST", f"{base}/{self.name}/telemetry", token, work)
        return 1

    async def _get(self, connection: HttpConnection, path: str, token: str) -> bytes:
        return await self._send(connection, "GET", path, token)

    async def _send(
        self, connection: HttpConnection, method: str, path: str, token: str, body: object = None
    ) -> bytes:
        status, answer = await connection.request(method, path, token, body)
        if status != 200:
            raise Violation(f"{self.name}: {method} {path}: {status} {answer[:200]!r}")
        return answer


def _poisson(draw: random.Random, mean: float) -> int:
    """How many events happen in a time in which `mean` do on average."""
    count, passed = 0, draw.expovariate(1.0)
    while passed < mean:
        count += 1
        passed += draw.expovariate(1.0)
    return count


def _path(href: str) -> str:
    parts = urlsplit(href)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path

"""A simulated device: it polls, installs what it is shown, and then reports, fails, or falls silent."""

from __future__ import annotations

import dataclasses
import json
import random
from urllib.parse import urlsplit

from fleet.simulator.http_client import HttpConnection

CANARY_RING = "canary"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the devices of a fleet fare with a release; shares from 0 to 1.

    Attributes:
        failure_rate: of them report a failure.
        silent_rate: of them are never heard of again once they were shown it.
        bad_rate: of those outside the canary's ring fail with it: a model that is bad in the field alone.
    """

    failure_rate: float = 0.02
    silent_rate: float = 0.01
    bad_rate: float = 0.0


class Violation(Exception):
    """The server answered what it must not."""


class Device:
    """One device.

    Args:
        name: its id.
        ring: what it says of itself in the attribute ``ring``.
        behaviour: how the fleet fares.
        random_: decides for this device.
    """

    def __init__(self, name: str, ring: str, behaviour: Behaviour, random_: random.Random) -> None:
        self.name = name
        self.ring = ring
        drawn = random_.random()
        bad = ring != CANARY_RING and random_.random() < behaviour.bad_rate
        self.falls_silent = drawn < behaviour.silent_rate
        self.fails = bad or drawn < behaviour.silent_rate + behaviour.failure_rate
        self.action: int | None = None
        self.sha256 = ""
        self.outcome = ""
        self.shown_at: float | None = None
        self._known = False

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
            attributes = {"mode": "replace", "data": {"ring": self.ring, "hardware": "simulated"}}
            path = _path(links["configData"]["href"])
            await self._send(connection, "PUT", path, token, attributes)
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
        said = {"status": {"execution": "closed", "result": {"finished": finished}}}
        feedback = f"{path.partition('?')[0]}/feedback"
        await self._send(connection, "POST", feedback, token, said)
        self.outcome = finished
        return requests + 1

    async def _get(self, connection: HttpConnection, path: str, token: str) -> bytes:
        return await self._send(connection, "GET", path, token)

    async def _send(
        self, connection: HttpConnection, method: str, path: str, token: str, body: object = None
    ) -> bytes:
        status, answer = await connection.request(method, path, token, body)
        if status != 200:
            raise Violation(f"{self.name}: {method} {path}: {status} {answer[:200]!r}")
        return answer


def _path(href: str) -> str:
    parts = urlsplit(href)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path

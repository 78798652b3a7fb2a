"""hawkBit's Direct Device Integration API, version 1, from the device's side.

Nothing that a server says here is trusted with more than what to ask the repository for: a bundle is what
TUF metadata says it is. Answers are bounded, and what is malformed in them is an error that names the server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
import time
import urllib.error
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import quote, urljoin, urlsplit

from edge_agent.update.connections import Connections, RedirectError
from edge_agent.update.download import Source
from edge_agent.update.errors import UnreachableError
from edge_agent.update.waiting import Deadline, Limits

_LONGEST_ANSWER = 256 * 1024
_LONGEST_DETAIL = 500
_CLOSED = {404, 405, 410}
_NOT_TAKEN = {400, 403}
_SLEEP = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)", re.ASCII)
_SECONDS = 60.0  # for one request
_PORTS = {"http": 80, "https": 443}

Execution = Literal[
    "closed", "proceeding", "scheduled", "download", "downloaded", "canceled", "rejected"
]
Finished = Literal["success", "failure", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Poll:
    """What a server wants now: at most one of confirmation, cancel and deployment, by their addresses.

    Attributes:
        sleep_s: seconds to the next poll; None where it does not say.
        attributes: where it wants to be told what this device is.
        confirmation: what awaits the device's consent.
        cancel: what is not to be done any more.
        deployment: what is to be done.
    """

    sleep_s: float | None = None
    attributes: str | None = None
    confirmation: str | None = None
    cancel: str | None = None
    deployment: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """A release that is to be installed.

    Attributes:
        action: the server's number of it.
        version: of the release.
        target: its path in the TUF repository; None where the server does not say.
        digest: its SHA-256, hex; None likewise.
        rollback: whether it is meant though it is older than what runs.
        held: whether it is not to be installed yet.
        artifact: where the server itself has the file; None if it has none.
    """

    action: str
    version: str
    target: str | None
    digest: str | None
    rollback: bool
    held: bool
    artifact: Source | None


class NotTakenError(UnreachableError):
    """The server refuses what it was told, and would each time; or, where it answers no poll, the token."""


class DdiClient:
    """Asks the server at `url` for the device `device` of `tenant`, and tells it what came of it.

    Args:
        url: http(s):// address of the server.
        tenant: the server's name of the fleet.
        device: what the server calls this device.
        authorization: the header's value, as in ``TargetToken 6f3..``.
        limits: what a request may cost.
    """

    def __init__(
        self, url: str, tenant: str, device: str, authorization: str, limits: Limits
    ) -> None:
        self._base = f"{url.rstrip('/')}/{quote(tenant, '')}/controller/v1/{quote(device, '')}"
        self._headers = {"Authorization": authorization, "Accept": "application/hal+json"}
        self._limits = limits

    def poll(self) -> Poll:
        """What the server wants now.

        Raises:
            UnreachableError: if it does not answer, or with what is no answer. So do the others here.
        """
        body = self._get(self._base)
        links = body.get("_links")
        found = links if isinstance(links, dict) else {}
        return Poll(
            sleep_s=_sleep(body),
            attributes=self._href(found.get("configData")),
            confirmation=self._href(found.get("confirmationBase")),
            cancel=self._href(found.get("cancelAction")),
            deployment=self._href(found.get("deploymentBase")),
        )

    def deployment(self, href: str) -> Deployment | None:
        """What is to be done, at the address `href`; None if it is not any more."""
        try:
            body = self._get(href)
        except _ClosedError:
            return None
        with self._understood():
            told = body["deployment"]
            chunk, artifact = _chunk(told["chunks"])
            metadata = {pair["key"]: pair["value"] for pair in chunk.get("metadata") or ()}
            return Deployment(
                action=str(body["id"]),
                version=str(chunk["version"]),
                target=metadata.get("target"),
                digest=metadata.get("sha256") or (artifact.get("hashes") or {}).get("sha256"),
                rollback=metadata.get("rollback") == "true",
                held="skip" in (told.get("download"), told.get("update"))
                or told.get("maintenanceWindow") == "unavailable",
                artifact=self._artifact(artifact),
            )
        raise AssertionError("either understood or raised")

    def cancelled(self, href: str) -> str | None:
        """The number of the action that is to be cancelled; None if that is not wanted any more."""
        try:
            body = self._get(href)
        except _ClosedError:
            return None
        with self._understood():
            return str(body["cancelAction"]["stopId"])
        raise AssertionError("either understood or raised")

    def confirm(self, href: str) -> None:
        """Consents to what awaits it."""
        with contextlib.suppress(_ClosedError):
            action = _last(href)
            self._send(
                "POST",
                f"{self._base}/confirmationBase/{quote(action, '')}/feedback",
                {"confirmation": "confirmed", "details": ["consented by the agent's settings"]},
            )

    def configure(self, attributes: Mapping[str, str]) -> None:
        """Tells what this device is.

        Raises:
            NotTakenError: if the server refuses just this: there are more than it keeps, say.
        """
        self._send("PUT", f"{self._base}/configData", {"mode": "merge", "data": dict(attributes)})

    def feedback(
        self, action: str, execution: Execution, finished: Finished, *details: str
    ) -> None:
        """Tells how the action goes; a server that has closed it meanwhile does not mind.

        Raises:
            NotTakenError: if the server refuses just this: its quota of entries is used up, say.
        """
        self._tell("deploymentBase", action, execution, finished, details)

    def telemetry(self, report: Mapping[str, Any]) -> None:
        """Tells what was done; a server that takes no such thing (hawkBit's own) does not mind.

        Nor does one that finds fault with it: it would each time, and no other report be told.
        """
        with contextlib.suppress(_ClosedError, NotTakenError):
            self._send("POST", f"{self._base}/telemetry", report)

    def cancel_feedback(self, action: str, finished: Finished, *details: str) -> None:
        """Tells what came of being asked to cancel."""
        self._tell("cancelAction", action, "closed", finished, details)

    def _tell(
        self,
        kind: str,
        action: str,
        execution: Execution,
        finished: Finished,
        details: tuple[str, ...],
    ) -> None:
        status = {
            "execution": execution,
            "result": {"finished": finished},
            "details": [detail[:_LONGEST_DETAIL] for detail in details],
        }
        with contextlib.suppress(_ClosedError):
            self._send(
                "POST",
                f"{self._base}/{kind}/{quote(action, '')}/feedback",
                {"id": action, "status": status},
            )

    def _artifact(self, artifact: Mapping[str, Any]) -> Source | None:
        links = artifact.get("_links") or {}
        href = self._href(links.get("download") or links.get("download-http"))
        if href is None:
            return None
        token = {"Authorization": self._headers["Authorization"]}
        return Source(href, token if self._ours(href) else {})

    def _ours(self, url: str) -> bool:
        """Whether `url` is of this very server, and no less safe: the token goes nowhere else."""
        return origin(url) == origin(self._base)

    def _connections(self) -> Connections:
        """For one request, which has its own time: between two of them a release may be installed."""
        return Connections(self._limits, Deadline(time.monotonic() + _SECONDS))

    def _href(self, link: Any) -> str | None:
        """The address in a link; None where there is none. Only a web server's is taken."""
        href = link.get("href") if isinstance(link, dict) else None
        if not isinstance(href, str):
            return None
        address = urljoin(f"{self._base}/", href)
        return address if urlsplit(address).scheme in ("http", "https") else None

    def _get(self, url: str) -> dict[str, Any]:
        headers = dict(self._headers)
        if not self._ours(url):
            raise UnreachableError(f"{self._base}: sends the agent to another server, {url}")
        with self._answered(), self._connections().open(url, headers) as response:
            return self._read(response)
        raise AssertionError("either answered or raised")

    def _send(self, method: str, url: str, body: Mapping[str, Any]) -> None:
        headers = {**self._headers, "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        with self._answered(), self._connections().send(method, url, headers, data) as response:
            response.read(_LONGEST_ANSWER)

    def _read(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        data = response.read(_LONGEST_ANSWER + 1)
        with self._understood():
            if len(data) > _LONGEST_ANSWER:
                raise ValueError("too long")
            body = json.loads(data)
            if isinstance(body, dict):
                return body
            raise ValueError("no object")
        raise AssertionError("either understood or raised")

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as e:
            e.close()
            if e.code in _CLOSED:
                raise _ClosedError(f"{self._base}: HTTP status {e.code}") from e
            known = "check fleet.token_file, and that the server knows this device"
            advice = known if e.code in (401, 403) else "look at the server's log"
            kind = NotTakenError if e.code in _NOT_TAKEN else UnreachableError
            raise kind(f"{self._base}: HTTP status {e.code}: {advice}") from e
        except (OSError, http.client.HTTPException, RedirectError) as e:
            reason = e.reason if isinstance(e, urllib.error.URLError) else e
            raise UnreachableError(
                f"{self._base}: {reason or type(e).__name__}: check fleet.url, this device's network, "
                "and that the server runs, then try again"
            ) from e

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
            raise UnreachableError(
                f"{self._base}: does not talk as hawkBit's DDI does ({type(e).__name__}: {e}): check "
                "fleet.url and fleet.tenant"
            ) from e


class _ClosedError(UnreachableError):
    """The server knows no such thing, or not any more."""


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, however they are written; a port that cannot be one is nobody's."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    return parts.scheme, parts.hostname, port


def _chunk(chunks: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one that names a target, else the first; and its first artifact."""
    named = [
        chunk
        for chunk in chunks
        if any(pair.get("key") == "target" for pair in chunk.get("metadata") or ())
    ]
    chunk = (named or chunks)[0]
    return chunk, (chunk.get("artifacts") or [{}])[0]


def _sleep(body: Mapping[str, Any]) -> float | None:
    """Seconds to the next poll, as ``HH:MM:SS`` in ``config.polling.sleep`` says."""
    try:
        match = _SLEEP.fullmatch(body["config"]["polling"]["sleep"])
    except (LookupError, TypeError):
        return None
    if match is None:
        return None
    hours, minutes, seconds = (int(part) for part in match.groups())
    return float(3600 * hours + 60 * minutes + seconds)


def _last(href: str) -> str:
    """The last part of the path: the number of an action."""
    return urlsplit(href).path.rpartition("/")[2]

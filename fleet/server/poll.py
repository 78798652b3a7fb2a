"""The poll: what devices ask all day long, answered without the framework, and mostly without writing.

A poll costs one look-up. It writes only when there is something to begin for this device: then it hands
in a job, and is answered when the transaction is on the disk.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fleet.control import actions
from fleet.control.standing import Standings
from fleet.rollout.errors import RolloutError
from fleet.server import ddi_answers as answers
from fleet.server.access import base_url, find_device, find_tenant
from fleet.server.fleet_state import FleetState
from fleet.server.lookup import Found
from fleet.server.operations import DEVICE, DescribedRoute, Operation
from fleet.server.problems import Problem, unreachable
from fleet.server.rooms import Shown
from fleet.store.errors import StoreError

_JSON = (b"content-type", b"application/json")
_POLL = Operation(
    method="GET",
    path="/{tenant}/controller/v1/{controller}",
    summary="the poll: when to come again, and what to do",
    credential=DEVICE,
    answer=answers.POLL,
)


def routes(state: FleetState) -> list[DescribedRoute]:
    """The poll among the other resources: described, and answered there where it is no plain GET."""

    async def endpoint(request: Request) -> Response:
        given = request.path_params
        body = await _poll(state, given["tenant"], given["controller"], request.scope)
        return Response(body, media_type="application/json")

    return [DescribedRoute(_POLL.path, endpoint, [_POLL])]


def is_poll(scope: Scope) -> tuple[str, str] | None:
    """Tenant and controller id, if the request is a poll: ``GET /{tenant}/controller/v1/{id}``."""
    if scope["method"] != "GET":
        return None
    parts = scope["path"].rstrip("/").split("/")
    if len(parts) == 5 and parts[2] == "controller" and parts[3] == "v1":
        return parts[1], parts[4]
    return None


async def answer_poll(
    state: FleetState, tenant: str, name: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answers a poll, as an ASGI application does."""
    try:
        body = await _poll(state, tenant, name, scope)
    except Problem as e:
        await e.response()(scope, receive, send)
        return
    except StoreError:
        await unreachable().response()(scope, receive, send)
        return
    state.figures.polls += 1
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [_JSON, length]})
    await send({"type": "http.response.body", "body": body})


async def _poll(state: FleetState, tenant_name: str, name: str, scope: Scope) -> bytes:
    tenant = find_tenant(state, tenant_name)
    authorization = host = ""
    for key, value in scope["headers"]:
        if key == b"authorization":
            authorization = value.decode("latin-1")
        elif key == b"host":
            host = value.decode("latin-1")
    device = await find_device(state, tenant, name, authorization, scope)
    shown = state.rooms.show(device.actions) if device.actions else None
    if (shown is None or shown.action.state == "timed_out") and state.rooms.may_begin(
        device.actions
    ):
        device = await _begin(state, tenant, device, name)
        shown = state.rooms.show(device.actions)
    state.saw(device.id)
    if shown is None and not device.asked and device.installed is None:
        return _idle(tenant.poll_s)
    address = f"{base_url(host, scope['scheme'])}/{tenant_name}/controller/v1/{name}"
    links = []
    if shown is not None:
        state.figures.shown += 1
        links.append(f'"{shown.resource}":{{"href":"{_href(address, shown)}"}}')
    if device.installed is not None:
        links.append(f'"installedBase":{{"href":"{address}/installedBase/{device.installed}"}}')
    if device.asked:
        links.append(f'"configData":{{"href":"{address}/configData"}}')
    return _body(tenant.poll_s, ",".join(links))


async def _begin(state: FleetState, tenant: Any, device: Found, name: str) -> Found:
    def work(standings: Standings) -> None:
        actions.offer(standings, device.id, tenant.confirmation)

    try:
        await state.writer.do(work)
    except RolloutError:
        return device
    return await state.lookup.find(tenant.id, name) or device


def _href(address: str, shown: Shown) -> str:
    if shown.resource == "cancelAction":
        return f"{address}/cancelAction/{shown.action.id}"
    tag = zlib.crc32(f"{shown.action.id}/{shown.action.release_id}".encode())
    return f"{address}/{shown.resource}/{shown.action.id}?c={tag}"


@functools.cache
def _idle(poll_s: float) -> bytes:
    return _body(poll_s, "")


def _body(poll_s: float, links: str) -> bytes:
    return (
        f'{{"config":{{"polling":{{"sleep":"{sleep(poll_s)}"}}}},"_links":{{{links}}}}}'
    ).encode()


def sleep(seconds: float) -> str:
    """A time between polls as clients read it: ``HH:MM:SS``."""
    whole = round(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"

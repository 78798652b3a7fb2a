"""What devices ask beside the poll: hawkBit's Direct Device Integration API, version 1.

Status codes are those that hawkBit's clients expect: 200 for what was taken, 404 for what is not (or
not any more) for this device, 410 for a report of an action that has ended, 429 and 503 to come again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from fleet.control import actions, devices, telemetry
from fleet.control.enrolment import join
from fleet.control.standing import Standings
from fleet.rollout.action import FINAL, ActionState
from fleet.rollout.errors import ActionClosedError
from fleet.server import ddi_answers as answers
from fleet.server import deployment
from fleet.server.access import base_url, find_device, find_tenant
from fleet.server.bodies import (
    DEVICE_BYTES,
    parse_attributes,
    parse_code,
    parse_details,
    parse_feedback,
    parse_telemetry,
    read_json,
)
from fleet.server.files import open_release, send
from fleet.server.fleet_state import FleetState
from fleet.server.lookup import Found
from fleet.server.operations import DEVICE, DescribedRoute, Operation
from fleet.server.problems import Problem, not_found
from fleet.server.schemas import Schema
from fleet.store.schema import Device, Release

_BASE = "/{tenant}/controller/v1/{controller}"
_HAL = "application/hal+json"
Handler = Callable[["Asked"], Awaitable[Response]]
Served = tuple[Operation, Handler]


class Asked:
    """A request of a device that was let in."""

    def __init__(self, state: FleetState, request: Request, tenant: Any, device: Found) -> None:
        self.state = state
        self.request = request
        self.tenant = tenant
        self.device = device
        path = f"/{tenant.name}/controller/v1/{request.path_params['controller']}"
        host = request.headers.get("host", "")
        self.address = base_url(host, request.url.scheme) + path

    def number(self, name: str) -> int:
        """The number in the path."""
        return int(self.request.path_params[name])

    async def json(self) -> dict[str, Any]:
        """The body."""
        return await read_json(self.request, DEVICE_BYTES)

    async def action(self) -> Any:
        """The row of the action in the path.

        Raises:
            Problem: 404 if the device has no such action.
        """
        number = self.number("action")
        row = await self.state.read(lambda c: deployment.find_action(c, self.device.id, number))
        if row is None or row.offered is None:
            raise not_found("there is no such action for this device")
        return row

    async def with_history(self, body: dict[str, Any], row: Any) -> dict[str, Any]:
        """The body, with the action's history if it is asked for."""
        text = self.request.query_params.get("actionHistory", "0")
        most = int(text) if text.removeprefix("-").isdecimal() and len(text) < 9 else 0
        if most:
            body["actionHistory"] = await self.state.read(
                lambda c: deployment.action_history(c, row, most)
            )
        return body


def routes(state: FleetState) -> list[DescribedRoute]:
    """The resources, each let in by the device's token."""
    return [
        _route(state, path, list(group)) for path, group in groupby(_SERVED, lambda s: s[0].path)
    ]


def _route(state: FleetState, path: str, served: list[Served]) -> DescribedRoute:
    handlers = {operation.method: handler for operation, handler in served}

    async def endpoint(request: Request) -> Response:
        tenant = find_tenant(state, request.path_params["tenant"])
        controller = request.path_params["controller"]
        authorization = request.headers.get("authorization", "")
        device = await find_device(state, tenant, controller, authorization, request.scope)
        state.saw(device.id)
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](Asked(state, request, tenant, device))

    return DescribedRoute(path, endpoint, [operation for operation, _ in served])


async def _deployment(asked: Asked) -> Response:
    row = await asked.action()
    if row.state in FINAL or row.confirmed is False:
        raise not_found("the action has ended, or awaits consent")
    body = {"id": str(row.id), "deployment": deployment.describe(row, asked.address)}
    return JSONResponse(await asked.with_history(body, row), media_type=_HAL)


async def _feedback(asked: Asked) -> Response:
    number = asked.number("action")
    said, code, details = parse_feedback(await asked.json())
    await _take(asked, lambda s: actions.report(s, asked.device.id, number, said, code, details))
    return Response()


async def _cancel(asked: Asked) -> Response:
    row = await asked.action()
    if not row.cancel_asked:
        raise not_found("the device is not asked to cancel this action")
    return JSONResponse({"id": str(row.id), "cancelAction": {"stopId": str(row.id)}})


async def _cancel_feedback(asked: Asked) -> Response:
    number = asked.number("action")
    said, code, details = parse_feedback(await asked.json())
    await _take(
        asked, lambda s: actions.report_cancel(s, asked.device.id, number, said, code, details)
    )
    return Response()


async def _attributes(asked: Asked) -> Response:
    given, mode = parse_attributes(await asked.json())

    def work(standings: Standings) -> None:
        connection = standings.connection
        if devices.set_attributes(connection, asked.device.id, given, mode):
            name = asked.request.path_params["controller"]
            join(standings, devices.find(connection, asked.tenant.id, name))

    await asked.state.writer.do(work)
    return Response()


async def _telemetry(asked: Asked) -> Response:
    """Ours, not hawkBit's: what the device did since its last report."""
    told = parse_telemetry(await asked.json())
    name = asked.request.path_params["controller"]

    def work(standings: Standings) -> None:
        device = devices.find(standings.connection, asked.tenant.id, name)
        telemetry.take(standings, device.id, device.attributes, told)

    await asked.state.writer.do(work)
    return Response()


async def _installed(asked: Asked) -> Response:
    row = await asked.action()
    if row.state != ActionState.SUCCESS:
        raise not_found("the device did not install this")
    body = {"id": str(row.id), "deployment": deployment.describe(row, asked.address)}
    return JSONResponse(await asked.with_history(body, row), media_type=_HAL)


async def _install_offline(asked: Asked) -> Response:
    body = await asked.json()
    name, version = body.get("name"), body.get("version")
    if not (isinstance(name, str) and isinstance(version, str)):
        raise Problem(400, "give name and version as texts")

    def work(standings: Standings) -> bool | None:
        connection = standings.connection
        query = sa.select(Release.id).where(
            Release.tenant_id == asked.tenant.id, Release.name == name, Release.version == version
        )
        release = connection.scalar(query)
        mine = Device.id == asked.device.id
        if release is None:
            return None
        if connection.scalar(sa.select(Device.installed_id).where(mine)) == release:
            return False
        connection.execute(
            sa.update(Device).where(mine).values(installed_id=release, installed_action_id=None)
        )
        return True

    new = await asked.state.writer.do(work)
    if new is None:
        raise not_found("there is no release of that name and version")
    return Response(status_code=201 if new else 200)


async def _confirmations(asked: Asked) -> Response:
    initiator = await asked.state.read(
        lambda c: c.scalar(sa.select(Device.auto_confirm).where(Device.id == asked.device.id))
    )
    verb = "activateAutoConfirm" if initiator is None else "deactivateAutoConfirm"
    links = {verb: {"href": f"{asked.address}/confirmationBase/{verb}"}}
    for action in asked.device.actions:
        if action.confirmed is not None and not action.confirmed:
            href = f"{asked.address}/confirmationBase/{action.id}"
            links["confirmationBase"] = {"href": href}
    auto: dict[str, Any] = {"active": initiator is not None}
    if initiator is not None:
        auto["initiator"] = initiator
    return JSONResponse({"autoConfirm": auto, "_links": links}, media_type=_HAL)


async def _confirmation(asked: Asked) -> Response:
    row = await asked.action()
    if row.confirmed is not False or row.state in FINAL:
        raise not_found("the device's consent is not awaited")
    body = {"id": str(row.id), "confirmation": deployment.describe(row, asked.address)}
    return JSONResponse(await asked.with_history(body, row), media_type=_HAL)


async def _confirm(asked: Asked) -> Response:
    number, body = asked.number("action"), await asked.json()
    word = body.get("confirmation")
    if word not in ("confirmed", "denied"):
        raise Problem(400, "confirmation: give confirmed or denied")
    code, details = parse_code(body.get("code")), parse_details(body.get("details"))
    await _take(asked, lambda s: actions.confirm(s, asked.device.id, number, word, code, details))
    return Response()


async def _activate(asked: Asked) -> Response:
    initiator = (await asked.json()).get("initiator")
    initiator = "" if initiator is None else initiator
    if not (isinstance(initiator, str) and initiator.isprintable()):
        raise Problem(400, "initiator: give a text of characters that print")
    name = initiator[:64] or "device"
    await asked.state.writer.do(lambda s: actions.auto_confirm(s, asked.device.id, name))
    return Response()


async def _deactivate(asked: Asked) -> Response:
    await asked.state.writer.do(lambda s: actions.auto_confirm(s, asked.device.id, None))
    return Response()


async def _artifacts(asked: Asked) -> Response:
    row = await _release(asked)
    return JSONResponse([deployment.artifact(row, row.id, asked.address)], media_type=_HAL)


async def _artifact(asked: Asked) -> Response:
    row = await _release(asked)
    name = asked.request.path_params["file"]
    if name == f"{row.filename}.MD5SUM":
        return PlainTextResponse(f"{row.md5}  {row.filename}")
    if name != row.filename:
        raise not_found()
    content = await open_release(asked.state, row)
    return await send(
        asked.state, asked.request, content, f'"{row.sha1}"', "application/octet-stream"
    )


async def _release(asked: Asked) -> Any:
    number = asked.number("module")
    row = await asked.state.read(lambda c: deployment.find_release(c, asked.device.id, number))
    if row is None:
        raise not_found("there is no such artifact for this device")
    return row


async def _take(asked: Asked, work: Callable[[Standings], None]) -> None:
    asked.state.figures.feedback += 1
    try:
        await asked.state.writer.do(work)
    except ActionClosedError as e:
        raise Problem(410, str(e)) from None


def _served(method: str, path: str, handler: Handler, summary: str, **more: Any) -> Served:
    operation = Operation(
        method=method, path=_BASE + path, summary=summary, credential=DEVICE, **more
    )
    return operation, handler


_MODULE = "/softwaremodules/{module:number}/artifacts"
_HISTORY: dict[str, Schema] = {
    "actionHistory": {"description": "how many messages, -1 for all; what is no number counts as 0"}
}
_EMPTY = {"media_type": ""}
_FILE = {"media_type": "application/octet-stream", "others": (206, 304)}
_SERVED: tuple[Served, ...] = (
    _served(
        "GET", "/deploymentBase/{action:number}", _deployment, "what to install",
        query=_HISTORY, answer=answers.DEPLOYMENT, media_type=_HAL,
    ),
    _served(
        "POST", "/deploymentBase/{action:number}/feedback", _feedback, "how it goes",
        body=answers.FEEDBACK, **_EMPTY,
    ),
    _served(
        "PUT", "/configData", _attributes, "what the device says of itself",
        body=answers.ATTRIBUTES, **_EMPTY,
    ),
    _served(
        "POST", "/telemetry", _telemetry, "what it did since its last report; not hawkBit's",
        body=answers.TELEMETRY, **_EMPTY,
    ),
    _served(
        "GET", "/cancelAction/{action:number}", _cancel, "what to cancel", answer=answers.CANCEL,
    ),
    _served(
        "POST", "/cancelAction/{action:number}/feedback", _cancel_feedback, "whether it was canceled",
        body=answers.FEEDBACK, **_EMPTY,
    ),
    _served(
        "GET", "/installedBase/{action:number}", _installed, "what was installed last",
        query=_HISTORY, answer=answers.DEPLOYMENT, media_type=_HAL,
    ),
    _served(
        "PUT", "/installedBase", _install_offline, "what was installed without the server",
        body=answers.INSTALLED, status=201, others=(200,), **_EMPTY,
    ),
    _served(
        "GET", "/confirmationBase", _confirmations, "whether consent is given beforehand",
        answer=answers.CONFIRMATIONS, media_type=_HAL,
    ),
    _served(
        "POST", "/confirmationBase/activateAutoConfirm", _activate, "consents to all that comes",
        body=answers.INITIATOR, **_EMPTY,
    ),
    _served(
        "POST", "/confirmationBase/deactivateAutoConfirm", _deactivate, "takes that back", **_EMPTY
    ),
    _served(
        "GET", "/confirmationBase/{action:number}", _confirmation, "what consent is asked for",
        query=_HISTORY, answer=answers.CONFIRMATION, media_type=_HAL,
    ),
    _served(
        "POST", "/confirmationBase/{action:number}/feedback", _confirm, "whether the device consents",
        body=answers.CONSENT, **_EMPTY,
    ),
    _served(
        "GET", _MODULE, _artifacts, "the files of a release",
        answer=answers.ARTIFACTS, media_type=_HAL,
    ),
    _served("GET", _MODULE + "/{file}", _artifact, "a file, or part of it, or its MD5", **_FILE),
)  # fmt: skip

"""The API for operators and programs: JSON at ``/api/v1/{tenant}``, by ``Authorization: Bearer TOKEN``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_agent.bundle.archive import BundleError
from fleet.control import audit, devices, handover, releases, rollouts, telemetry, tenants
from fleet.control.preparation import Preparation
from fleet.control.standing import Standings
from fleet.control.tenants import Identity
from fleet.control.tokens import REVOKED
from fleet.repository import Release as Published
from fleet.repository import Repository
from fleet.repository.errors import RepositoryError
from fleet.rollout.plan import decode
from fleet.server import management_answers as answers
from fleet.server.access import find_tenant, identify
from fleet.server.bodies import OPERATOR_BYTES, read_json
from fleet.server.clock import SimulatedClock
from fleet.server.fleet_state import FleetState
from fleet.server.openapi import VERBS
from fleet.server.operations import OPERATOR, DescribedRoute, Operation
from fleet.server.problems import Problem, not_found
from fleet.server.schemas import Schema
from fleet.server.starting import prepare_resume, prepare_start

_MOST = 1000
_log = logging.getLogger("fleet")


class Call:
    """A request of an operator who may make it."""

    def __init__(self, state: FleetState, request: Request, tenant: Any, who: Identity) -> None:
        self.state = state
        self.request = request
        self.tenant = tenant
        self.who = who

    def text(self, name: str) -> str:
        """What the query string gives as `name`; empty by default."""
        return self.request.query_params.get(name, "").replace("\0", "")[:256]

    def count(self, name: str, default: int, most: int) -> int:
        """The whole number that the query string gives as `name`.

        Raises:
            Problem: 400 if it is none, or out of bounds.
        """
        text = self.request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) < 11 and int(text) <= most):
            raise Problem(400, f"{name}: give a whole number up to {most}")
        return int(text)

    def rollout(self) -> int:
        """The rollout's number in the path."""
        return int(self.request.path_params["rollout"])

    async def json(self) -> dict[str, Any]:
        """The body, or an empty object where there is none."""
        headers = self.request.headers
        if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
            return {}
        return await read_json(self.request, OPERATOR_BYTES)


Handler = Callable[[Call], Awaitable[Any]]
Served = tuple[Operation, Handler]


def routes(state: FleetState) -> list[DescribedRoute]:
    """The resources, each with the role that it takes."""
    served = list(_SERVED)
    if isinstance(state.clock, SimulatedClock):
        served.insert(0, _CLOCK)
    return [
        _route(state, path, list(group)) for path, group in groupby(served, lambda s: s[0].path)
    ]


def _route(state: FleetState, path: str, served: list[Served]) -> DescribedRoute:
    by_method = {operation.method: (operation, handler) for operation, handler in served}

    async def endpoint(request: Request) -> Response:
        operation, handler = by_method["GET" if request.method == "HEAD" else request.method]
        tenant = None
        if "tenant" in request.path_params:
            tenant = state.tenants.get(request.path_params["tenant"])
            if tenant is None:
                await identify(state, request, operation.role)
                find_tenant(state, request.path_params["tenant"])
        who = await identify(state, request, operation.role, tenant)
        return JSONResponse(await handler(Call(state, request, tenant, who)), operation.status)

    return DescribedRoute(path, endpoint, [operation for operation, _ in served])


async def _tenants(call: Call) -> Any:
    rows = await call.state.read(tenants.list_all)
    return {"tenants": [{"name": row.name, "poll_s": row.poll_s} for row in rows]}


async def _devices(call: Call) -> Any:
    limit = call.count("limit", 100, _MOST)
    search, after = call.text("search"), call.text("after")
    listed = await call.state.read(
        lambda c: devices.listing(c, call.tenant.id, search, after, limit)
    )
    return {"devices": listed, "next": listed[-1]["id"] if len(listed) == limit > 0 else None}


async def _add(call: Call) -> Any:
    name = (await call.json()).get("id")
    if not isinstance(name, str):
        raise Problem(400, "id: give the device's id")
    tenant, who = call.tenant.id, call.who.name
    token = await call.state.writer.do_alone(
        lambda s: devices.add(s.connection, s.now, tenant, who, name)
    )
    return {"id": name, "token": token}


async def _device(call: Call) -> Any:
    name = str(call.request.path_params["device"])

    def work(connection: Any) -> Any:
        row = devices.find(connection, call.tenant.id, name)
        told = telemetry.told_by(connection, row.id)
        return row, devices.history(connection, row.id), told

    row, actions, told = await call.state.read(work)
    return {
        "id": row.name,
        "created": row.created,
        "seen": row.seen,
        "revoked": row.token_hash == REVOKED,
        "attributes": row.attributes,
        "actions": actions,
        "telemetry": told,
    }


async def _token(call: Call) -> Any:
    name = str(call.request.path_params["device"])
    tenant, who = call.tenant.id, call.who.name
    token = await call.state.writer.do_alone(
        lambda s: devices.renew_token(s.connection, s.now, tenant, who, name)
    )
    return {"id": name, "token": token}


async def _revoke(call: Call) -> Any:
    name = str(call.request.path_params["device"])
    tenant, who = call.tenant.id, call.who.name
    await call.state.writer.do_alone(lambda s: handover.revoke(s, tenant, who, name))
    return {"id": name, "revoked": True}


async def _replace(call: Call) -> Any:
    name = str(call.request.path_params["device"])
    tenant, who = call.tenant.id, call.who.name
    token = await call.state.writer.do_alone(lambda s: handover.replace(s, tenant, who, name))
    return {"id": name, "token": token}


async def _releases(call: Call) -> Any:
    rows = await call.state.read(lambda c: releases.listing(c, call.tenant.id))
    return {"releases": [releases.described(row) for row in rows]}


async def _register(call: Call) -> Any:
    release = _name_and_version(await call.json())
    root, objects, tenant = call.state.root, call.state.objects, call.tenant

    def published() -> Published:
        found = releases.find_published(root, tenant.name, *release)
        file = Repository(releases.repository_folder(root, tenant.name)).bundle_path(found)
        releases.upload(objects, file)
        return found

    try:
        return await _make_known(call, await asyncio.to_thread(published))
    except (RepositoryError, BundleError) as e:
        _log.warning("%s", e)  # names files of this machine
        raise Problem(
            409,
            "the release cannot be read from the tenant's repository: the server's log says why",
        ) from e


async def _upload(call: Call) -> Any:
    intake = call.state.intake
    if intake is None:
        raise Problem(
            409,
            "this server signs nothing: release the bundle where the keys are (`python -m fleet release add "
            "BUNDLE`, or the pipeline's Pusher), and make it known by POST releases; one that is to sign "
            "what it is sent is started with --sign-uploads",
        )
    version = call.text("version") or None
    try:
        return await _make_known(call, await intake.take(call.request, call.tenant.name, version))
    except (RepositoryError, BundleError) as e:
        _log.warning("%s", e)  # names files of this machine
        raise Problem(
            409,
            "the bundle cannot be released with the keys on this server: the server's log says why",
        ) from e


async def _make_known(call: Call, published: Published) -> Any:
    given = (call.tenant, call.who.name, call.state.root, published, call.state.objects)
    row = await call.state.writer.do_alone(
        lambda s: releases.register_bundle(s.connection, s.now, *given)
    )
    return releases.described(row)


async def _rollouts(call: Call) -> Any:
    limit = call.count("limit", 100, _MOST)
    return {"rollouts": await call.state.read(lambda c: rollouts.listing(c, call.tenant.id, limit))}


async def _create(call: Call) -> Any:
    body = await call.json()
    release, name = body.get("release"), body.get("name", "")
    if not isinstance(name, str) or len(name) > 100 or "\0" in name:
        raise Problem(400, "name: give up to 100 characters")
    plan = decode(body.get("plan"))

    def work(standings: Standings) -> Any:
        row = _find_release(standings.connection, call.tenant.id, release)
        id_ = rollouts.create(standings, call.tenant.id, call.who.name, row, plan, name)
        return rollouts.status(standings.connection, call.tenant.id, id_)

    return await call.state.writer.do_alone(work)


async def _rollout(call: Call) -> Any:
    number = call.rollout()
    return await call.state.read(lambda c: rollouts.status(c, call.tenant.id, number))


async def _steer(call: Call) -> Any:
    number, verb = call.rollout(), call.request.path_params["verb"]
    if verb not in VERBS:
        raise not_found()
    reason = (await call.json()).get("reason", "")
    if not isinstance(reason, str) or len(reason) > 500 or "\0" in reason:
        raise Problem(400, "reason: give up to 500 characters")
    tenant, who = call.tenant.id, call.who.name

    def work(standings: Standings) -> Any:
        if verb == "start":
            rollouts.start(standings, tenant, who, number, reached)
        elif verb == "pause":
            rollouts.pause(standings, tenant, who, number, reason)
        elif verb == "resume":
            rollouts.resume(standings, tenant, who, number, reached)
        else:
            rollouts.abort(standings, tenant, who, number, reason)
        standings.settle()
        return rollouts.status(standings.connection, tenant, number)

    reached = Preparation()
    if verb == "start":
        reached = await prepare_start(call.state, tenant, who, number)
    elif verb == "resume":
        reached = await prepare_resume(call.state, tenant, who, number)
    return await call.state.writer.do_alone(work)


async def _roll_back(call: Call) -> Any:
    number, body = call.rollout(), await call.json()
    release, group = body.get("release"), body.get("group")
    if not (group is None or isinstance(group, str)):
        raise Problem(400, "group: give a name")
    tenant, who = call.tenant.id, call.who.name

    def begin(standings: Standings) -> int:
        row = _find_release(standings.connection, tenant, release)
        return rollouts.roll_back(standings, tenant, who, number, row, group)

    def start(standings: Standings) -> Any:
        rollouts.start(standings, tenant, who, back, reached)
        standings.settle()
        return rollouts.status(standings.connection, tenant, back)

    back = await call.state.writer.do_alone(begin)
    reached = await prepare_start(call.state, tenant, who, back)
    return await call.state.writer.do_alone(start)


async def _audit(call: Call) -> Any:
    limit = call.count("limit", 100, _MOST)
    before = call.count("before", 2**31 - 1, 2**31 - 1)
    return {
        "entries": await call.state.read(lambda c: audit.entries(c, call.tenant.id, limit, before))
    }


async def _advance(call: Call) -> Any:
    seconds: Any = (await call.json()).get("advance_s")
    clock = call.state.clock
    if type(seconds) not in (int, float) or not 0 <= seconds <= 1e9:
        raise Problem(400, "advance_s: give seconds")
    assert isinstance(clock, SimulatedClock)
    now = clock.advance(float(seconds))
    await call.state.refresh()
    return {"now": now}


def _find_release(connection: Any, tenant: int, release: Any) -> Any:
    return releases.find(connection, tenant, *_name_and_version(release))


def _name_and_version(release: Any) -> tuple[str, str]:
    if not (
        isinstance(release, dict)
        and isinstance(release.get("name"), str)
        and isinstance(release.get("version"), str)
    ):
        raise Problem(400, 'release: give {"name": ..., "version": ...}')
    return release["name"], release["version"]


def _served(
    method: str, path: str, role: str, handler: Handler, answer: Schema, summary: str, **more: Any
) -> Served:
    operation = Operation(
        method=method, path=f"/api/v1{path}", summary=summary, credential=OPERATOR, role=role,
        answer=answer, **more,
    )  # fmt: skip
    return operation, handler


_LIMIT: Schema = {"type": "integer", "minimum": 0, "maximum": _MOST, "default": 100}
_BEFORE: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_SEARCH: Schema = {"type": "string", "description": "part of the id"}
_AFTER: Schema = {"type": "string", "description": "`next` of the answer before"}
_BUNDLE: Schema = {"type": "string", "format": "binary"}
_VERSION: Schema = {"type": "string", "description": "of the release; by default the next patch"}
_CLOCK = _served(
    "POST", "/clock", "operator", _advance, answers.CLOCK, "lets the simulated time pass",
    body=answers.ADVANCE,
)  # fmt: skip
_SERVED: tuple[Served, ...] = (
    _served("GET", "/tenants", "viewer", _tenants, answers.TENANTS, "all tenants"),
    _served(
        "GET", "/{tenant}/devices", "viewer", _devices, answers.DEVICES, "devices by id, in pages",
        query={"search": _SEARCH, "after": _AFTER, "limit": _LIMIT},
    ),
    _served(
        "POST", "/{tenant}/devices", "operator", _add, answers.TOKEN,
        "makes a device; its token is given this once", body=answers.NEW_DEVICE, status=201,
    ),
    _served(
        "GET", "/{tenant}/devices/{device}", "viewer", _device, answers.DEVICE,
        "a device, what it said of its actions, and of its work",
    ),
    _served(
        "POST", "/{tenant}/devices/{device}/token", "operator", _token, answers.TOKEN,
        "a new token; the former one counts no more",
    ),
    _served(
        "POST", "/{tenant}/devices/{device}/revoke", "operator", _revoke, answers.REVOKED,
        "a lost device: nothing opens its id, and no rollout waits for it",
    ),
    _served(
        "POST", "/{tenant}/devices/{device}/replace", "operator", _replace, answers.TOKEN,
        "other hardware takes over the id and its history; its token is given this once",
    ),
    _served("GET", "/{tenant}/releases", "viewer", _releases, answers.RELEASES, "all releases"),
    _served(
        "POST", "/{tenant}/releases", "signer", _register, answers.RELEASE,
        "makes a bundle known that stands in the tenant's repository", body=answers.VERSION,
        status=201,
    ),
    _served(
        "POST", "/{tenant}/bundles", "signer", _upload, answers.RELEASE,
        "releases the bundle that is sent, where the server was told to sign", body=_BUNDLE,
        body_type="application/octet-stream", query={"version": _VERSION}, status=201,
    ),
    _served(
        "GET", "/{tenant}/rollouts", "viewer", _rollouts, answers.ROLLOUTS,
        "rollouts, newest first", query={"limit": _LIMIT},
    ),
    _served(
        "POST", "/{tenant}/rollouts", "operator", _create, answers.ROLLOUT,
        "makes a rollout, which touches nobody before it is started",
        body=answers.NEW_ROLLOUT, status=201,
    ),
    _served(
        "GET", "/{tenant}/rollouts/{rollout:number}", "viewer", _rollout, answers.ROLLOUT,
        "how a rollout stands",
    ),
    _served(
        "POST", "/{tenant}/rollouts/{rollout:number}/rollback", "operator", _roll_back,
        answers.ROLLOUT, "brings the devices that it touched to another release; gives the rollout that does",
        body=answers.ROLL_BACK,
    ),
    _served(
        "POST", "/{tenant}/rollouts/{rollout:number}/{verb}", "operator", _steer, answers.ROLLOUT,
        "steers a rollout",
        body=answers.STEERING,
    ),
    _served(
        "GET", "/{tenant}/audit", "viewer", _audit, answers.AUDIT, "who changed what, newest first",
        query={"limit": _LIMIT, "before": _BEFORE},
    ),
)  # fmt: skip

"""The pages: each is a function of a visit; forms change what the operator's role lets them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fleet.control import audit, devices, releases, rollouts, telemetry
from fleet.control.curves import curve
from fleet.control.preparation import Preparation
from fleet.control.standing import Standings
from fleet.rollout.errors import PlanError, RolloutError
from fleet.rollout.plan import Group, Plan, parse_shares, waves
from fleet.server.access import find_operator, refuse
from fleet.server.dashboard.cards import read_card
from fleet.server.dashboard.site import (
    COOKIE,
    REFRESH_S,
    Visit,
    read_form,
    render,
    style_sheet,
    visit,
)
from fleet.server.fleet_state import FleetState
from fleet.server.problems import Problem, not_found, unreachable
from fleet.server.starting import prepare_resume, prepare_start
from fleet.store.errors import NotFoundError, StoreError

_log = logging.getLogger("fleet")
Page = Callable[[Visit], Awaitable[Response]]
_DEFAULTS = {
    "release": "", "name": "", "canary": "5", "waves": "25 100", "match": "", "success": "90",
    "error": "10", "sample": "10", "exposure": "50", "time_out": "6",
}  # fmt: skip


def routes(state: FleetState) -> list[Route]:
    """All pages and forms."""

    def page(path: str, get: Page, post: Page | None = None) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                found = await visit(state, request)
                if found is None:
                    return RedirectResponse("/login", 303)
                if request.method != "POST":
                    return await get(found)
                assert post is not None
                if not found.who.may("operator"):
                    raise Problem(403, f"{found.who.name} is {found.who.role}, and may only look")
                return await post(found)
            except Problem as e:
                return _wrong(e.status, e.detail, e.headers)
            except NotFoundError as e:
                return _wrong(404, str(e))
            except RolloutError as e:
                return _wrong(409, str(e))
            except StoreError as e:
                _log.warning("%s", e)
                away = unreachable()
                return _wrong(away.status, away.detail, away.headers)

        return Route(path, endpoint, methods=["GET", "POST"] if post else ["GET"])

    async def log_in(request: Request) -> Response:
        if request.method == "GET":
            return render("login.html.j2", "Log in", wrong=False)
        try:
            token = (await read_form(request)).get("token", "").strip()
            known = await find_operator(state, request.scope, token)
            if known is None:
                refuse(state, request.scope)
        except Problem as e:
            return _wrong(e.status, e.detail, e.headers)
        if known is None:
            return render("login.html.j2", "Log in", 401, wrong=True)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
        return answer

    async def log_out(request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def style(_request: Request) -> Response:
        return Response(style_sheet(), media_type="text/css")

    return [
        page("/", _rollouts),
        page("/rollouts/new", _new, _create),
        page("/rollouts/{rollout}", _rollout, _steer),
        page("/devices", _devices),
        page("/devices/{device}", _device),
        page("/releases", _releases),
        page("/releases/{name}/{version}", _release),
        page("/audit", _audit),
        Route("/login", log_in, methods=["GET", "POST"]),
        Route("/logout", log_out, methods=["POST"]),
        Route("/page.css", style),
    ]


async def _rollouts(seen: Visit) -> Response:
    found = await seen.state.read(lambda c: rollouts.listing(c, seen.tenant.id))
    busy = any(rollout["state"] == "running" for rollout in found)
    return seen.page(
        "rollouts.html.j2", "Rollouts", rollouts=found, refresh=REFRESH_S if busy else None
    )


async def _rollout(seen: Visit) -> Response:
    number = _number(seen)
    status = await seen.state.read(lambda c: rollouts.status(c, seen.tenant.id, number))
    said = await seen.state.read(lambda c: audit.of_rollout(c, seen.tenant.id, number))
    went = await seen.state.read(lambda c: curve(c, number))
    others = await seen.state.read(lambda c: releases.listing(c, seen.tenant.id))
    back = [row for row in others if row.name == status["release"]["name"]]
    back = [row for row in back if row.version != status["release"]["version"]]
    busy = status["state"] == "running"
    return seen.page(
        "rollout.html.j2", f"Rollout {number}",
        rollout=status, entries=said, curve=went, back=back, refresh=REFRESH_S if busy else None,
    )  # fmt: skip


async def _steer(seen: Visit) -> Response:
    number, form = _number(seen), await read_form(seen.request)
    verb, reason = form.get("verb", ""), form.get("reason", "")[:500]
    tenant, who = seen.tenant.id, seen.who.name

    def begin_back(standings: Standings) -> int:
        name, _, version = form.get("to", "").partition("==")
        row = releases.find(standings.connection, tenant, name, version)
        return rollouts.roll_back(standings, tenant, who, number, row, form.get("group") or None)

    def work(standings: Standings) -> int:
        if verb in ("start", "rollback"):
            return rollouts.start(standings, tenant, who, begun, reached).id
        if verb == "pause":
            return rollouts.pause(standings, tenant, who, number, reason).id
        if verb == "resume":
            return rollouts.resume(standings, tenant, who, number, reached).id
        if verb == "abort":
            return rollouts.abort(standings, tenant, who, number, reason).id
        raise not_found()

    begun, reached = number, Preparation()
    if verb == "rollback":
        begun = await seen.state.writer.do_alone(begin_back)
    if verb in ("start", "rollback"):
        reached = await prepare_start(seen.state, tenant, who, begun)
    elif verb == "resume":
        reached = await prepare_resume(seen.state, tenant, who, number)
    moved = await seen.state.writer.do_alone(work)
    return RedirectResponse(seen.address(f"/rollouts/{moved}"), 303)


async def _new(seen: Visit) -> Response:
    return await _form(seen, _DEFAULTS | {"release": seen.asked("release")}, "")


async def _form(seen: Visit, fields: dict[str, str], wrong: str) -> Response:
    found = await seen.state.read(lambda c: releases.listing(c, seen.tenant.id))
    status = 400 if wrong else 200
    return seen.page(
        "new.html.j2", "New rollout", status, releases=found, fields=fields, wrong=wrong
    )


async def _create(seen: Visit) -> Response:
    fields = _DEFAULTS | await read_form(seen.request)
    try:
        plan = _plan(fields)
    except (PlanError, ValueError) as e:
        said = str(e) if isinstance(e, PlanError) else "give numbers where numbers are asked for"
        return await _form(seen, fields, said)
    name, _, version = fields["release"].partition("==")

    def work(standings: Standings) -> int:
        row = releases.find(standings.connection, seen.tenant.id, name, version)
        return rollouts.create(
            standings, seen.tenant.id, seen.who.name, row, plan, fields["name"][:100]
        )

    made = await seen.state.writer.do_alone(work)
    return RedirectResponse(seen.address(f"/rollouts/{made}"), 303)


async def _devices(seen: Visit) -> Response:
    search, after, match = seen.asked("search"), seen.asked("after"), seen.asked("match")
    found, wrong = [], ""
    try:
        found = await seen.state.read(
            lambda c: devices.listing(c, seen.tenant.id, search, after, 50, match)
        )
    except PlanError as e:
        wrong = str(e)
    following = found[-1]["id"] if len(found) == 50 else None
    return seen.page(
        "devices.html.j2", "Devices", 400 if wrong else 200,
        devices=found, search=search, match=match, wrong=wrong, following=following,
    )  # fmt: skip


async def _device(seen: Visit) -> Response:
    name = str(seen.request.path_params["device"])

    def work(connection: Any) -> Any:
        row = devices.find(connection, seen.tenant.id, name)
        told = telemetry.told_by(connection, row.id)
        return row, devices.history(connection, row.id), told

    row, history, told = await seen.state.read(work)
    return seen.page("device.html.j2", row.name, device=row, actions=history, telemetry=told)


async def _releases(seen: Visit) -> Response:
    found = await seen.state.read(lambda c: releases.listing(c, seen.tenant.id))
    return seen.page("releases.html.j2", "Releases", releases=found)


async def _release(seen: Visit) -> Response:
    name, version = (str(seen.request.path_params[part]) for part in ("name", "version"))

    def work(connection: Any) -> Any:
        row = releases.find(connection, seen.tenant.id, name, version)
        return row, rollouts.listing(connection, seen.tenant.id, release=row.id)

    row, its = await seen.state.read(work)
    card = None
    if row.workload:
        bundle = releases.bundle_file(seen.state.root, seen.tenant.name, row)
        card = await asyncio.to_thread(read_card, bundle)
    return seen.page("release.html.j2", f"{name} {version}", release=row, rollouts=its, card=card)


async def _audit(seen: Visit) -> Response:
    before = seen.asked("before")
    last = int(before) if before.isascii() and before.isdecimal() and len(before) < 10 else None
    found = await seen.state.read(lambda c: audit.entries(c, seen.tenant.id, 100, last))
    following = found[-1]["id"] if len(found) == 100 else None
    return seen.page("audit.html.j2", "Audit log", entries=found, following=following)


def _plan(fields: dict[str, str]) -> Plan:
    canary = Group(
        name="canary",
        percent=_finite(fields["canary"]),
        success_threshold=_finite(fields["success"]) / 100,
        error_threshold=_finite(fields["error"]) / 100,
        minimum_sample=int(fields["sample"]),
        exposure=int(fields["exposure"]),
    )
    groups = waves(canary, parse_shares(fields["waves"].split()[:50], canary.percent))
    return Plan(
        groups=groups, target=fields["match"], time_out_s=3600 * _finite(fields["time_out"])
    )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _number(seen: Visit) -> int:
    text = str(seen.request.path_params["rollout"])
    if not (text.isascii() and text.isdecimal() and len(text) < 11):
        raise not_found("there is no such rollout")
    return int(text)


def _wrong(status: int, said: str, headers: Mapping[str, str] | None = None) -> Response:
    page = render("wrong.html.j2", "That did not work", status, said=said)
    page.headers.update(headers or {})
    return page

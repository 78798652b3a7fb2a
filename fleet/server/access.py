"""Who asks: a device by its token, any device of a tenant by the gateway's, an operator by theirs."""

from __future__ import annotations

import hmac
import json
from typing import Any

from starlette.requests import Request

from fleet.control import devices, tenants
from fleet.control.enrolment import join
from fleet.control.names import is_device
from fleet.control.standing import Standings
from fleet.control.tenants import Identity
from fleet.control.tokens import hash_token
from fleet.server.fleet_state import FleetState
from fleet.server.lookup import Found
from fleet.server.problems import Problem, not_found, unauthorized


async def find_device(state: FleetState, tenant: Any, name: str, authorization: str) -> Found:
    """The device that asks; one that is unknown is registered, if it comes by its gateway's token.

    Args:
        state: of the server.
        tenant: the tenant's row.
        name: what the device calls itself.
        authorization: the request's header.

    Raises:
        Problem: 401 if the token is none of its own or its tenant's.
    """
    kind, _, token = authorization.partition(" ")
    gateway = kind == "GatewayToken" and _same(hash_token(token.strip()), tenant.gateway_hash)
    found = await state.lookup.find(tenant.id, name) if is_device(name) else None
    if found is not None:
        own = kind == "TargetToken" and _same(hash_token(token.strip()), found.token_hash)
        if gateway or own:
            return found
    elif gateway:
        if not is_device(name):
            raise Problem(400, "the controller id has characters that none may have")
        return await _register(state, tenant, name)
    state.figures.refused += 1
    raise unauthorized("the device's TargetToken, or its tenant's GatewayToken, is needed")


async def identify(state: FleetState, request: Request, role: str, tenant: Any = None) -> Identity:
    """The operator who asks.

    Args:
        state: of the server.
        request: with ``Authorization: Bearer TOKEN``.
        role: what they must be allowed to do.
        tenant: the row of the tenant in which; None for what concerns all tenants.

    Raises:
        Problem: 401 without a token that counts, 403 if it does not reach so far.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    moment = state.clock()
    known = None
    if kind.lower() == "bearer":
        known = await state.read(lambda c: tenants.identify(c, moment, token.strip()))
    if known is None:
        state.figures.refused += 1
        raise unauthorized("an operator's token is needed: Authorization: Bearer TOKEN")
    if known.tenant is not None and (tenant is None or known.tenant != tenant.id):
        raise not_found()  # nor does it tell which tenants there are
    if not known.may(role):
        raise Problem(403, f"{known.name} is {known.role}; this takes a {role}")
    return known


def find_tenant(state: FleetState, name: str) -> Any:
    """The row of the tenant.

    Raises:
        Problem: 404 if there is none.
    """
    tenant = state.tenants.get(name)
    if tenant is None:
        raise not_found()
    return tenant


async def _register(state: FleetState, tenant: Any, name: str) -> Found:
    def work(standings: Standings) -> None:
        connection = standings.connection
        devices.register(connection, standings.now, tenant.id, name)
        join(standings, devices.find(connection, tenant.id, name))

    await state.writer.do(work)
    found = await state.lookup.find(tenant.id, name)
    if found is None:
        raise Problem(503, "the device was removed meanwhile", {"Retry-After": "1"})
    return found


def _same(one: str, other: str | None) -> bool:
    return other is not None and hmac.compare_digest(one, other)


def base_url(host: str, scheme: str) -> str:
    """The address that the client called us by, fit to stand in JSON."""
    return json.dumps(f"{scheme}://{host}")[1:-1]

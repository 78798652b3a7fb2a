"""Who asks: a device by its token, any device of a tenant by the gateway's, an operator by theirs."""

from __future__ import annotations

import functools
import hmac
import ipaddress
import json
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from fleet.control import devices, tenants
from fleet.control.enrolment import join
from fleet.control.names import is_device
from fleet.control.standing import Standings
from fleet.control.tenants import Identity
from fleet.control.tokens import REVOKED, hash_token
from fleet.server.certificates import CERTIFIED
from fleet.server.fleet_state import FleetState
from fleet.server.lookup import Found
from fleet.server.problems import Problem, not_found, unauthorized


async def find_device(
    state: FleetState, tenant: Any, name: str, authorization: str, scope: Scope
) -> Found:
    """The device that asks; an unknown one is registered, if its gateway's token or a certificate lets it in.

    Args:
        state: of the server.
        tenant: the tenant's row.
        name: what the device calls itself.
        authorization: the request's header.
        scope: of the request.

    Raises:
        Problem: 401 if the token is none of its own or its tenant's, and no certificate names it, or if
            the device was revoked; 429 if it comes too often, or failed to log in too often.
    """
    limits = state.limits
    if limits.refused is not None:
        limits.refused.check(_claim(scope, name))
    kind, _, token = authorization.partition(" ")
    let_in = kind == "GatewayToken" and _same(hash_token(token.strip()), tenant.gateway_hash)
    certified = scope.get(CERTIFIED)
    if certified is not None and certified.device == name and tenant.name in certified.tenants:
        let_in = True
    found = await state.lookup.find(tenant.id, name) if is_device(name) else None
    if found is not None:
        let_in = let_in and found.token_hash != REVOKED
        own = kind == "TargetToken" and _same(hash_token(token.strip()), found.token_hash)
        if let_in or own:
            if limits.device is not None:
                limits.device.take(found.id)
            return found
    elif let_in:
        if not is_device(name):
            raise Problem(400, "the controller id has characters that none may have")
        return await _register(state, tenant, name)
    refuse(state, scope, name)
    raise unauthorized(
        "the device's TargetToken, its tenant's GatewayToken, or a client certificate is needed"
    )


def refuse(state: FleetState, scope: Scope, name: str = "") -> None:
    """Counts a log-in that failed.

    Args:
        state: of the server.
        scope: of the request.
        name: the device's; empty for an operator's.

    Raises:
        Problem: 429 if there were too many.
    """
    state.figures.refused += 1
    if state.limits.refused is not None:
        state.limits.refused.take(_claim(scope, name))


def _claim(scope: Scope, name: str) -> tuple[str, str]:
    """What a failed log-in is counted by; ids that none may have are one, for they may be long and many."""
    return address_of(scope), name if not name or is_device(name) else "?"


def address_of(scope: Scope) -> str:
    """The client's address, in IPv6 its network of 64 bits, which is what one client may have."""
    return _network(str((scope.get("client") or ("",))[0]))


@functools.lru_cache(maxsize=4096)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:  # as a proxy that listens to both tells of IPv4
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network(f"{address}/64", strict=False))


async def identify(state: FleetState, request: Request, role: str, tenant: Any = None) -> Identity:
    """The operator who asks.

    Args:
        state: of the server.
        request: with ``Authorization: Bearer TOKEN``.
        role: what they must be allowed to do.
        tenant: the row of the tenant in which; None for what concerns all tenants.

    Raises:
        Problem: 401 without a token that counts, 403 if it does not reach so far, 429 if it is used
            too often, or too many failed from that address.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    known = None
    if kind.lower() == "bearer":
        known = await find_operator(state, request.scope, token.strip())
    if known is None:
        refuse(state, request.scope)
        raise unauthorized("an operator's token is needed: Authorization: Bearer TOKEN")
    if known.tenant is not None and (tenant is None or known.tenant != tenant.id):
        raise not_found()  # nor does it tell which tenants there are
    if not known.may(role):
        raise Problem(403, f"{known.name} is {known.role}; this takes a {role}")
    return known


async def find_operator(state: FleetState, scope: Scope, token: str) -> Identity | None:
    """Whose token it is; None if it is nobody's.

    Raises:
        Problem: 429 if it is used too often, or too many failed from that address.
    """
    limits, moment = state.limits, state.clock()
    if limits.refused is not None:
        limits.refused.check(_claim(scope, ""))
    known = await state.read(lambda c: tenants.identify(c, moment, token)) if token else None
    if known is not None and limits.operator is not None:
        limits.operator.take(known.name)
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

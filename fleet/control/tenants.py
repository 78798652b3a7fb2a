"""Tenants, and the operators that may act in them."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from fleet.control import audit
from fleet.control.names import check_tenant
from fleet.control.tokens import hash_token, new_token
from fleet.store.errors import ConflictError, NotFoundError
from fleet.store.schema import Operator, Tenant

ROLES = ("viewer", "operator", "signer")
"""Each may do what those before it may: see; steer rollouts and devices; add releases."""

POLL_S = 300.0
LEAST_POLL_S = 5.0
MOST_POLL_S = 86_399.0  # clients read it as a time of day


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """Who acts: `tenant` is None for one who may in all tenants."""

    name: str
    role: str
    tenant: int | None = None

    def may(self, role: str) -> bool:
        """Whether this role is among those it has."""
        return ROLES.index(self.role) >= ROLES.index(role)


def add(connection: sa.Connection, now: float, who: str, name: str) -> tuple[int, str]:
    """Makes a tenant; gives its id and its gateway token, which nothing gives again.

    Raises:
        ConflictError: if the name cannot be one, or is taken.
    """
    check_tenant(name)
    if connection.scalar(sa.select(Tenant.id).where(Tenant.name == name)) is not None:
        raise ConflictError(f"tenant {name}: there is one already")
    token = new_token()
    made = connection.execute(
        sa.insert(Tenant)
        .values(
            name=name,
            created=now,
            poll_s=POLL_S,
            gateway_hash=hash_token(token),
            confirmation=False,
        )
        .returning(Tenant.id)
    ).scalar_one()
    audit.note(connection, now, made, who, "tenant add", name)
    return made, token


def find(connection: sa.Connection, name: str) -> Any:
    """The row of a tenant.

    Raises:
        NotFoundError: if there is none.
    """
    row = connection.execute(
        sa.select(*Tenant.__table__.columns).where(Tenant.name == name)
    ).first()
    if row is None:
        raise NotFoundError(f"tenant {name[:80]}: there is none: `python -m fleet tenant list`")
    return row


def list_all(connection: sa.Connection) -> list[Any]:
    """The rows of all tenants, by name."""
    query = sa.select(*Tenant.__table__.columns).order_by(Tenant.name)
    return list(connection.execute(query))


def change(
    connection: sa.Connection,
    now: float,
    who: str,
    name: str,
    *,
    poll_s: float | None = None,
    confirmation: bool | None = None,
) -> None:
    """Changes what is given of a tenant's settings.

    Raises:
        NotFoundError: if there is no such tenant.
        ConflictError: if the time between polls is none that clients understand.
    """
    tenant = find(connection, name)
    values: dict[str, Any] = {}
    if poll_s is not None:
        if not LEAST_POLL_S <= poll_s <= MOST_POLL_S:
            raise ConflictError(f"poll: give {LEAST_POLL_S:g} to {MOST_POLL_S:g} seconds")
        values["poll_s"] = poll_s
    if confirmation is not None:
        values["confirmation"] = confirmation
    if values:
        connection.execute(sa.update(Tenant).where(Tenant.id == tenant.id).values(**values))
        audit.note(connection, now, tenant.id, who, "tenant change", name, values)


def renew_gateway_token(connection: sa.Connection, now: float, who: str, name: str) -> str:
    """A new gateway token for a tenant; the former one counts no more.

    Raises:
        NotFoundError: if there is no such tenant.
    """
    tenant, token = find(connection, name), new_token()
    connection.execute(
        sa.update(Tenant).where(Tenant.id == tenant.id).values(gateway_hash=hash_token(token))
    )
    audit.note(connection, now, tenant.id, who, "tenant token", name)
    return token


def add_operator(
    connection: sa.Connection,
    now: float,
    who: str,
    name: str,
    role: str,
    tenant: int | None = None,
    days: float | None = None,
) -> str:
    """Lets somebody act; gives the token, which nothing gives again.

    Args:
        connection: a transaction.
        now: seconds since 1970.
        who: does it.
        name: the operator's.
        role: one of `ROLES`.
        tenant: the only tenant to act in; None for all.
        days: after which the token counts no more; None for never.

    Raises:
        ConflictError: if there is an operator of that name, or the token would count never, or for ever.
    """
    if days is not None and not 0 < days <= 36_500:
        raise ConflictError("days: give a number above 0, up to 36,500")
    if connection.scalar(sa.select(Operator.id).where(Operator.name == name)) is not None:
        raise ConflictError(f"operator {name[:80]}: there is one already; remove that one first")
    token = new_token()
    connection.execute(
        sa.insert(Operator).values(
            tenant_id=tenant,
            name=name,
            role=role,
            token_hash=hash_token(token),
            created=now,
            expires=None if days is None else now + 86_400 * days,
        )
    )
    audit.note(connection, now, tenant, who, "operator add", name, {"role": role, "days": days})
    return token


def operators(connection: sa.Connection) -> list[dict[str, Any]]:
    """All operators by name, as JSON; `only` is the one tenant in which one may act."""
    query = sa.select(
        Operator.name, Operator.role, Tenant.name, Operator.created, Operator.expires
    ).outerjoin(Tenant, Tenant.id == Operator.tenant_id)
    names = ("name", "role", "only", "created", "expires")
    return [
        dict(zip(names, row, strict=True))
        for row in connection.execute(query.order_by(Operator.name))
    ]


def remove_operator(connection: sa.Connection, now: float, who: str, name: str) -> None:
    """Takes an operator's right to act.

    Raises:
        NotFoundError: if there is none of that name.
    """
    row = connection.execute(
        sa.delete(Operator).where(Operator.name == name).returning(Operator.tenant_id)
    ).first()
    if row is None:
        raise NotFoundError(
            f"operator {name[:80]}: there is none: `python -m fleet tenant operator-list`"
        )
    audit.note(connection, now, row.tenant_id, who, "operator remove", name)


def identify(connection: sa.Connection, now: float, token: str) -> Identity | None:
    """Whose token it is; None if it is nobody's, or expired."""
    row = connection.execute(
        sa.select(Operator.name, Operator.role, Operator.tenant_id, Operator.expires).where(
            Operator.token_hash == hash_token(token)
        )
    ).first()
    if row is None or (row.expires is not None and row.expires <= now):
        return None
    return Identity(name=row.name, role=row.role, tenant=row.tenant_id)

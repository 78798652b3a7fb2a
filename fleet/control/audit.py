"""The audit log: who changed what, when. It is written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fleet.store.schema import Audit


def note(
    connection: sa.Connection,
    now: float,
    tenant: int | None,
    who: str,
    what: str,
    subject: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Adds a line.

    Args:
        connection: the transaction of the change.
        now: seconds since 1970.
        tenant: whose fleet was changed; None if no single one.
        who: the operator's name, ``command line``, or ``rollout engine``.
        what: verb of the change, e.g. ``rollout start``.
        subject: what was changed, as people call it.
        details: more, as JSON; never a token.
    """
    connection.execute(
        sa.insert(Audit).values(
            at=now,
            tenant_id=tenant,
            who=who,
            what=what,
            subject=subject,
            details=dict(details or {}),
        )
    )


def entries(
    connection: sa.Connection, tenant: int | None, limit: int = 100, before: int | None = None
) -> list[dict[str, Any]]:
    """The newest lines first.

    Args:
        connection: a transaction.
        tenant: lines of this one alone; None for all.
        limit: how many at most.
        before: only lines with smaller ids than this.
    """
    query = sa.select(Audit.id, Audit.at, Audit.who, Audit.what, Audit.subject, Audit.details)
    if tenant is not None:
        query = query.where(Audit.tenant_id == tenant)
    if before is not None:
        query = query.where(Audit.id < before)
    rows: Sequence[Any] = connection.execute(query.order_by(Audit.id.desc()).limit(limit)).all()
    return [dict(row._mapping) for row in rows]


def of_rollout(
    connection: sa.Connection, tenant: int, rollout: int, limit: int = 50
) -> list[dict[str, Any]]:
    """The newest lines about a rollout first: what people did with it, and the engine, and why."""
    query = (
        sa.select(Audit.id, Audit.at, Audit.who, Audit.what, Audit.subject, Audit.details)
        .where(
            Audit.tenant_id == tenant,
            Audit.subject.startswith(f"{rollout} ", autoescape=True),
            sa.or_(Audit.what.startswith("rollout "), Audit.what.startswith("group ")),
        )
        .order_by(Audit.id.desc())
        .limit(limit)
    )
    return [dict(row._mapping) for row in connection.execute(query)]

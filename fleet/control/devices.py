"""Devices: their registration, their attributes, and what can be asked about them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control import audit
from fleet.control.names import is_device
from fleet.control.tokens import hash_token, new_token
from fleet.rollout.filters import Filter, Term
from fleet.store.errors import ConflictError, NotFoundError
from fleet.store.schema import DEVICE, LAST_POLL, Action, Device, LastPoll, Release, Report

MAX_ATTRIBUTES = 200
MAX_NAME = 128
MAX_VALUE = 1024
_AT_ONCE = 500  # rows of a listing that are looked through
MAX_TOLD = 400
MODES = ("merge", "replace", "remove")
_ID_BY_NAME = sa.select(DEVICE.c.id).where(
    DEVICE.c.tenant_id == sa.bindparam("tenant"), DEVICE.c.name == sa.bindparam("name")
)
_BY_NAME = _ID_BY_NAME.with_only_columns(*DEVICE.c, LAST_POLL.c.at.label("seen")).outerjoin(
    LAST_POLL, LAST_POLL.c.device_id == DEVICE.c.id
)
_INSERT = sa.insert(DEVICE).returning(DEVICE.c.id)
_ATTRIBUTES = sa.select(DEVICE.c.attributes, DEVICE.c.asked).where(
    DEVICE.c.id == sa.bindparam("device")
)
_UPDATE = sa.update(DEVICE).where(DEVICE.c.id == sa.bindparam("device"))
# One statement for all of them, so that Python's lock is free meanwhile: a row at a time, the polls that
# come would wait for it at each.
_POLLED = {
    "sqlite": "SELECT value, :now FROM json_each(:devices) WHERE true",
    "postgresql": "SELECT CAST(value AS INTEGER), :now FROM json_array_elements_text(CAST(:devices AS JSON))",
}
_NOTE_POLLS = {
    name: sa.text(
        f"INSERT INTO last_poll (device_id, at) {polled} "
        "ON CONFLICT (device_id) DO UPDATE SET at = excluded.at"
    )
    for name, polled in _POLLED.items()
}


def register(
    connection: sa.Connection, now: float, tenant: int, name: str, token: str | None = None
) -> int:
    """The id of the device, which is made if it is unknown.

    Args:
        connection: a transaction.
        now: seconds since 1970.
        tenant: whose.
        name: what it calls itself.
        token: with which it will come; None if it comes by the gateway's.

    Raises:
        ConflictError: if the name cannot be one.
    """
    if not is_device(name):
        raise ConflictError(
            f"device {name[:80]!r}: use up to 256 letters, digits and _.:@+-, with a letter or digit first"
        )
    found: int | None = connection.scalar(_ID_BY_NAME, {"tenant": tenant, "name": name})
    if found is not None:
        return found
    made: int = connection.execute(
        _INSERT,
        {
            "tenant_id": tenant,
            "name": name,
            "token_hash": None if token is None else hash_token(token),
            "created": now,
            "attributes": {},
            "asked": True,
        },
    ).scalar_one()
    return made


def add(connection: sa.Connection, now: float, tenant: int, who: str, name: str) -> str:
    """Makes a device; gives its token, which nothing gives again.

    Raises:
        ConflictError: if there is one of that name, or the name cannot be one.
    """
    query = sa.select(Device.id).where(Device.tenant_id == tenant, Device.name == name)
    if connection.scalar(query) is not None:
        raise ConflictError(
            f"device {name}: there is one already; `device token` gives a new token"
        )
    token = new_token()
    register(connection, now, tenant, name, token)
    audit.note(connection, now, tenant, who, "device add", name)
    return token


def renew_token(connection: sa.Connection, now: float, tenant: int, who: str, name: str) -> str:
    """A new token for a device; the former one counts no more.

    Raises:
        NotFoundError: if there is no such device.
    """
    device, token = find(connection, tenant, name), new_token()
    connection.execute(
        sa.update(Device).where(Device.id == device.id).values(token_hash=hash_token(token))
    )
    audit.note(connection, now, tenant, who, "device token", name)
    return token


def note_polls(connection: sa.Connection, now: float, devices: Sequence[int]) -> None:
    """Writes that these devices polled just now: by their ids, each once, and best in order."""
    given = {"now": now, "devices": json.dumps(devices)}
    connection.execute(_NOTE_POLLS[connection.dialect.name], given)


def find(connection: sa.Connection, tenant: int, name: str) -> Any:
    """The row of a device, and when it was ``seen`` last.

    Raises:
        NotFoundError: if there is none.
    """
    row = connection.execute(_BY_NAME, {"tenant": tenant, "name": name}).first()
    if row is None:
        raise NotFoundError(f"device {name[:80]}: there is none")
    return row


def set_attributes(
    connection: sa.Connection, device: int, given: Mapping[str, str], mode: str
) -> bool:
    """Takes what a device says of itself (configData); gives whether anything changed.

    Raises:
        ConflictError: if there would be too many, or a name or value is too long.
    """
    row = connection.execute(_ATTRIBUTES, {"device": device}).one()
    kept = {} if mode == "replace" else dict(row.attributes)
    if mode == "remove":
        for name in given:
            kept.pop(name, None)
    else:
        kept.update(given)
    if len(kept) > MAX_ATTRIBUTES:
        raise ConflictError(f"attributes: more than {MAX_ATTRIBUTES}")
    for name, value in kept.items():
        if not 0 < len(name) <= MAX_NAME or len(value) > MAX_VALUE:
            raise ConflictError(
                f"attribute {name[:40]!r}: names have 1 to {MAX_NAME} characters, values at most "
                f"{MAX_VALUE}"
            )
    changed = kept != row.attributes
    if changed or row.asked:
        connection.execute(_UPDATE, {"device": device, "attributes": kept, "asked": False})
    return changed


def eligible(minimum: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    """Whether a device meets a release's minimum, by what it says of itself.

    The names are those of a bundle's manifest: ``agent`` must be told and new enough; of the runtimes
    (``tflite_runtime``, ``litert``) at least one must be. A release without a minimum is for every device.
    """
    least = dict(minimum)
    agent = least.pop("agent", None)
    if agent is not None and not _reaches(attributes.get("agent"), agent):
        return False
    return not least or any(
        _reaches(attributes.get(name), version) for name, version in least.items()
    )


def listing(
    connection: sa.Connection,
    tenant: int,
    search: str = "",
    after: str = "",
    limit: int = 100,
    matches: str = "",
) -> list[dict[str, Any]]:
    """Devices by name: those whose name holds `search`, that follow `after` and pass the filter `matches`.

    Raises:
        PlanError: if `matches` is no filter (`fleet.rollout.filters`).
    """
    chosen = Filter.parse(matches)
    query = (
        sa.select(Device.name, LastPoll.at, Device.attributes, Release.name, Release.version)
        .outerjoin(LastPoll, LastPoll.device_id == Device.id)
        .outerjoin(Release, Release.id == Device.installed_id)
        .where(Device.tenant_id == tenant, Device.name > after)
        .order_by(Device.name)
    )
    if search:
        query = query.where(Device.name.contains(search, autoescape=True))
    for term in chosen.terms:
        if term.wanted:
            query = query.where(_may_match(term))
    if all(term.wanted and len(term.parts) == 1 for term in chosen.terms):
        query = query.limit(limit)  # all that is found passes
    rows = connection.execute(query, execution_options={"yield_per": _AT_ONCE})
    passing = (row for row in rows if chosen.holds(row[0], row[2]))
    return [
        {
            "id": name,
            "seen": seen,
            "attributes": attributes,
            "installed": None if release is None else {"name": release, "version": version},
        }
        for name, seen, attributes, release, version in itertools.islice(passing, limit)
    ]


def _may_match(term: Term) -> sa.ColumnElement[bool]:
    """The term in SQL; where it has stars, SQLite's notion of equal letters is wider."""
    value = Device.name if term.name == "id" else Device.attributes[term.name].as_string()
    if len(term.parts) == 1:
        return value == term.parts[0]
    escaped = (re.sub(r"([%_\\])", r"\\\1", part) for part in term.parts)
    return value.like("%".join(escaped), escape="\\")


def history(connection: sa.Connection, device: int, limit: int = 50) -> list[dict[str, Any]]:
    """A device's actions, newest first, each with what it said of them: its newest `MAX_TOLD` reports."""
    query = (
        sa.select(*Action.__table__.columns, Release.name, Release.version)
        .join(Release, Release.id == Action.release_id)
        .where(Action.device_id == device)
        .order_by(Action.id.desc())
        .limit(limit)
    )
    actions = [
        {
            "id": row.id,
            "rollout": row.rollout_id,
            "release": {"name": row.name, "version": row.version},
            "state": row.state,
            "offered": row.offered,
            "ended": row.ended,
            "reports": [],
        }
        for row in connection.execute(
            query.with_only_columns(*Action.__table__.columns, Release.name, Release.version)
        )
    ]
    by_id = {action["id"]: action["reports"] for action in actions}
    said = sa.select(*Report.__table__.columns).where(Report.action_id.in_(list(by_id)))
    newest = connection.execute(said.order_by(Report.id.desc()).limit(MAX_TOLD)).all()
    for row in reversed(newest):
        by_id[row.action_id].append(
            {
                "kind": row.kind,
                "received": row.received,
                "execution": row.execution,
                "finished": row.finished,
                "code": row.code,
                "details": row.details,
            }
        )
    return actions


def _reaches(version: str | None, least: str) -> bool:
    return version is not None and _numbers(version) >= _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers a version begins with, without trailing zeros."""
    match = re.match(r"\d{1,9}(\.\d{1,9})*", version, re.ASCII)
    numbers = [int(n) for n in match.group().split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)

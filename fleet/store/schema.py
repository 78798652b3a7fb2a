"""Tables of the fleet server. Moments are seconds since 1970, UTC, of the server's (injected) clock.

No table holds a counter: how a rollout stands is counted from its actions. Tokens are there as SHA-256
of their text alone. `fleet.store.migrations` makes these tables, and leads from each schema to the next.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "3"
VERSION_TABLE = "fleet_version"
OPEN = "state IN ('scheduled', 'offered', 'running', 'timed_out')"
"""The actions that a device may be shown or report of, in SQL."""


class Base(DeclarativeBase):
    """Declarative base of all tables."""


class Tenant(Base):
    """A fleet by itself: its devices, releases and rollouts are seen by nobody else.

    ``poll_s`` is what devices are told to wait between polls; ``gateway_hash`` is of the token with
    which any device may come, and be registered when it is unknown; ``confirmation`` says whether a
    device must consent before it is given a deployment.
    """

    __tablename__ = "tenant"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created: Mapped[float]
    poll_s: Mapped[float]
    gateway_hash: Mapped[str | None]
    confirmation: Mapped[bool]


class Operator(Base):
    """A person or program with a token; ``tenant_id`` is null for one who may act in all tenants.

    ``role`` is viewer, operator or signer, each of which may do what those before it may.
    """

    __tablename__ = "operator"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    created: Mapped[float]
    expires: Mapped[float | None]


class Device(Base):
    """A device: hawkBit's controller, by the id that it gives itself.

    ``token_hash`` is null for one that comes by gateway token, and empty for one that was revoked; ``asked``
    is whether it is to be asked for its attributes.
    """

    __tablename__ = "device"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    token_hash: Mapped[str | None]
    created: Mapped[float]
    attributes: Mapped[dict[str, str]] = mapped_column(JSON)
    asked: Mapped[bool]
    auto_confirm: Mapped[str | None]
    installed_id: Mapped[int | None] = mapped_column(ForeignKey("release.id"))
    installed_action_id: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (UniqueConstraint("tenant_id", "name"),)


class LastPoll(Base):
    """When a device polled last, to some seconds: written late, and for many devices at once.

    By itself, for it changes more often than all else: a page holds some 300 of these rows.
    """

    __tablename__ = "last_poll"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True)
    at: Mapped[float]


class Release(Base):
    """A version of a bundle, or of another file, that devices may be given.

    ``target`` is its path in the TUF repository, empty for a file that is not there; ``file`` is where
    its bytes lie below the server's root, or ``store:`` and the name of an object; ``minimum`` holds the
    least versions that a device must have.
    """

    __tablename__ = "release"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"))
    name: Mapped[str]
    version: Mapped[str]
    workload: Mapped[str]
    target: Mapped[str]
    filename: Mapped[str]
    file: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    sha1: Mapped[str]
    md5: Mapped[str]
    minimum: Mapped[dict[str, str]] = mapped_column(JSON)
    created: Mapped[float]

    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"),)


class Rollout(Base):
    """A rollout as `fleet.rollout.engine` left it; ``plan`` and ``groups`` are that package's as JSON.

    ``rolls_back`` is the rollout whose touched devices this one brings to another version, those of the
    group with the index ``rolls_back_group`` alone if that is given.
    """

    __tablename__ = "rollout"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"))
    release_id: Mapped[int] = mapped_column(ForeignKey("release.id"))
    name: Mapped[str]
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str]
    reason: Mapped[str]
    groups: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    created: Mapped[float]
    started: Mapped[float | None]
    rolls_back: Mapped[int | None] = mapped_column(ForeignKey("rollout.id"))
    rolls_back_group: Mapped[int | None]

    __table_args__ = (Index("rollout_by_state", "state"), Index("rollout_by_tenant", "tenant_id"))


class Action(Base):
    """That a device is to run the release of a rollout: `fleet.rollout.action`.

    ``confirmed`` is null where no consent is needed, false while it is awaited; ``superseded`` is
    whether a later rollout gave the device another version of the same name; ``execution`` is the last
    word of the device.
    """

    __tablename__ = "action"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollout.id"))
    release_id: Mapped[int] = mapped_column(ForeignKey("release.id"))
    group_index: Mapped[int]
    state: Mapped[str]
    created: Mapped[float]
    offered: Mapped[float | None]
    ended: Mapped[float | None]
    cancel_asked: Mapped[bool]
    confirmed: Mapped[bool | None]
    superseded: Mapped[bool]
    execution: Mapped[str]

    __table_args__ = (
        UniqueConstraint("rollout_id", "device_id"),
        Index("action_by_device", "device_id", "id"),
        Index("action_by_group", "rollout_id", "group_index", "state", "offered"),
        {"sqlite_autoincrement": True},  # a device may remember an id: none is used twice
    )


class Report(Base):
    """What a device said of an action; ``kind`` is deployment, cancel or confirmation; handover
    where it says nothing any more, because other hardware took its place."""

    __tablename__ = "report"

    id: Mapped[int] = mapped_column(primary_key=True)
    action_id: Mapped[int] = mapped_column(ForeignKey("action.id"), index=True)
    kind: Mapped[str]
    received: Mapped[float]
    execution: Mapped[str]
    finished: Mapped[str]
    code: Mapped[int | None]
    details: Mapped[list[str]] = mapped_column(JSON)


class Telemetry(Base):
    """What a device told of its work with a version of a release, added up (`fleet.rollout.quality.Totals`).

    ``sequence`` is that of its last report, so that one which comes twice counts once.
    """

    __tablename__ = "telemetry"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    updated: Mapped[float]
    totals: Mapped[dict[str, Any]] = mapped_column(JSON)


class Sample(Base):
    """A device in a rollout's comparison of telemetry: `fleet.rollout.quality.Sample` once it was judged.

    ``before`` is what it had told when the comparison took it in, of the version that it ran until then;
    ``base``, of the one by which it is compared. All that follows is null until it is judged.
    """

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True)
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollout.id"))
    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"))
    arm: Mapped[str]
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    base: Mapped[dict[str, Any]] = mapped_column(JSON)
    judged: Mapped[float | None]
    change: Mapped[bool | None]
    values: Mapped[dict[str, float] | None] = mapped_column(JSON)
    slices: Mapped[dict[str, str] | None] = mapped_column(JSON)

    __table_args__ = (
        UniqueConstraint("rollout_id", "device_id"),
        Index("sample_by_moment", "rollout_id", "arm", "judged", "id"),
    )


class Audit(Base):
    """Who changed what: rows are added and never changed; triggers of the database hold that."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenant.id"), index=True)
    who: Mapped[str]
    what: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


# The same as plain tables, for the statements that each device's word takes: they are built once, and
# need nothing of the mapping.
DEVICE = cast(Table, Device.__table__)
LAST_POLL = cast(Table, LastPoll.__table__)
RELEASE = cast(Table, Release.__table__)
ROLLOUT = cast(Table, Rollout.__table__)
ACTION = cast(Table, Action.__table__)
REPORT = cast(Table, Report.__table__)

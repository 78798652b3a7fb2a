"""What devices tell of their work, added up, and the samples by which a rollout's release is judged.

A device that a rollout has not reached is a control while it runs another version of the same release; one
that runs the rollout's is a canary. `fleet.rollout.quality` says how they are compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control.standing import LIVE, Standings
from fleet.rollout.plan import decode
from fleet.rollout.quality import Arm, Quality, Totals, judge
from fleet.store.schema import Action, Release, Rollout, Telemetry
from fleet.store.schema import Sample as Row

MOST_RELEASES = 50
"""Of a device, of which its work is kept: what it calls a release is not looked up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """One report.

    Attributes:
        name: of the release that the device runs.
        version: of it.
        sequence: rises from report to report of a device; one that came before is passed over.
        totals: of the work since the last report.
    """

    name: str
    version: str
    sequence: int
    totals: Totals


def take(standings: Standings, device: int, attributes: dict[str, str], told: Told) -> None:
    """Adds up what a device told, and judges it where that is enough.

    Args:
        standings: of the transaction.
        device: its id.
        attributes: what it says of itself.
        told: its report.
    """
    connection = standings.connection
    mine = (Telemetry.device_id == device, Telemetry.name == told.name)
    rows: dict[str, Any] = {
        row.version: row
        for row in connection.execute(sa.select(*Telemetry.__table__.columns).where(*mine))
    }
    if any(row.sequence >= told.sequence for row in rows.values()):
        return
    row = rows.get(told.version)
    until_now = Totals() if row is None else Totals(**row.totals)
    totals = until_now.plus(told.totals)
    values = {
        "sequence": told.sequence,
        "updated": standings.now,
        "totals": dataclasses.asdict(totals),
    }
    if row is None:
        key = {"device_id": device, "name": told.name, "version": told.version}
        connection.execute(sa.insert(Telemetry).values(**key, **values))
        _drop_oldest(connection, device)
    else:
        connection.execute(
            sa.update(Telemetry).where(*mine, Telemetry.version == told.version).values(**values)
        )
    others = [other for version, other in rows.items() if version != told.version]
    earlier = max(others, key=lambda other: other.sequence, default=None)
    for rollout in _rollouts(connection, device, told.name):
        arm = Arm.CANARY if rollout.version == told.version else Arm.CONTROL
        reached = rollout.offered is not None
        if reached is not (arm is Arm.CANARY):
            continue  # it got the release elsewhere, or is on its way to it
        sample = _sample(connection, rollout.id, device, arm)
        if sample is None:
            before = until_now
            if arm is Arm.CANARY:
                before = Totals(**earlier.totals) if earlier else Totals()
            sample = _begin(connection, rollout.id, device, arm, before, until_now)
        if sample.judged is not None:
            continue
        quality = decode(rollout.plan).quality
        since = totals.since(Totals(**sample.base))
        if since.hours >= quality.least_hours:
            _judge(standings, sample, quality, attributes, since)


def told_by(connection: sa.Connection, device: int) -> list[dict[str, Any]]:
    """What a device told of its work, newest first, as JSON: `fleet.rollout.quality.Totals` by release."""
    query = (
        sa.select(Telemetry.name, Telemetry.version, Telemetry.updated, Telemetry.totals)
        .where(Telemetry.device_id == device)
        .order_by(Telemetry.sequence.desc())
    )
    return [
        {
            "release": {"name": row.name, "version": row.version},
            "updated": row.updated,
            **row.totals,
        }
        for row in connection.execute(query)
    ]


def forget(connection: sa.Connection, rollout: int) -> None:
    """Judges the devices of a rollout anew, by what they tell from now on."""
    connection.execute(sa.delete(Row).where(Row.rollout_id == rollout))


def _drop_oldest(connection: sa.Connection, device: int) -> None:
    """Forgets the releases of which the device told longest ago, beyond `MOST_RELEASES`."""
    mine = Telemetry.device_id == device
    columns = (Telemetry.name, Telemetry.version)
    newest_first = (Telemetry.updated.desc(), Telemetry.sequence.desc())
    old = sa.select(*columns).where(mine).order_by(*newest_first).offset(MOST_RELEASES)
    for name, version in connection.execute(old).all():
        connection.execute(
            sa.delete(Telemetry).where(mine, Telemetry.name == name, Telemetry.version == version)
        )


def _rollouts(connection: sa.Connection, device: int, name: str) -> Sequence[Any]:
    """The device's rollouts of releases of that name that may touch devices."""
    query = (
        sa.select(Rollout.id, Rollout.plan, Release.version, Action.offered)
        .join(Action, Action.rollout_id == Rollout.id)
        .join(Release, Release.id == Rollout.release_id)
        .where(
            Action.device_id == device,
            Release.name == name,
            Rollout.state.in_(LIVE),
            Rollout.rolls_back.is_(None),
            Action.state.not_in(("canceled", "error", "timed_out")),
        )
        .order_by(Rollout.id)
    )
    return connection.execute(query).all()


def _sample(connection: sa.Connection, rollout: int, device: int, arm: Arm) -> Any:
    """The device's sample; one of the other side is given up if it was not judged."""
    mine = (Row.rollout_id == rollout, Row.device_id == device)
    row: Any = connection.execute(sa.select(*Row.__table__.columns).where(*mine)).first()
    if row is not None and row.judged is None and row.arm != arm:
        connection.execute(sa.delete(Row).where(Row.id == row.id))
        return None
    return row


def _begin(
    connection: sa.Connection,
    rollout: int,
    device: int,
    arm: Arm,
    before: Totals,
    base: Totals,
) -> Any:
    values = {
        "rollout_id": rollout,
        "device_id": device,
        "arm": str(arm),
        "before": dataclasses.asdict(before),
        "base": dataclasses.asdict(base),
    }
    made = sa.insert(Row).values(**values).returning(*Row.__table__.columns)
    return connection.execute(made).one()


def _judge(
    standings: Standings,
    sample: Any,
    quality: Quality,
    attributes: dict[str, str],
    since: Totals,
) -> None:
    change, values = judge(quality, Totals(**sample.before), since)
    slices = {name: attributes[name] for name in quality.slices if name in attributes}
    standings.connection.execute(
        sa.update(Row)
        .where(Row.id == sample.id)
        .values(judged=standings.now, change=change, values=values, slices=slices)
    )
    standings.judged(sample.rollout_id)

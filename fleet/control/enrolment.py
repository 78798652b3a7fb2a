"""Which devices a rollout has: an action for each, made when it starts or when the device comes late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control.devices import eligible
from fleet.control.standing import Standing, Standings
from fleet.control.tokens import REVOKED
from fleet.store.schema import ACTION, Action, Device, Release

_BATCH = 2000
_KNOWN = sa.select(ACTION.c.id, ACTION.c.execution).where(
    ACTION.c.rollout_id == sa.bindparam("rollout"), ACTION.c.device_id == sa.bindparam("device")
)
REPLACED = "replaced"
"""The last word of the hardware that a device was: what it had of a rollout, the new one has not."""

_UNDERWAY = sa.select(ACTION.c.device_id).where(
    ACTION.c.rollout_id == sa.bindparam("rollout"),
    ACTION.c.state.in_(("offered", "running", "timed_out")),
)
_INSERT = sa.insert(ACTION)


def enrol(standings: Standings, standing: Standing) -> None:
    """Makes the missing actions of a rollout's devices.

    Left out are devices that run the release already, or do not meet its minimum; a roll back takes those
    too that may still be installing the other one. What an earlier rollout of the same name of releases
    still had for a device is superseded.
    """
    connection, now = standings.connection, standings.now
    release = standings.release(standing.release_id)
    device = sa.select(Device.id, Device.name, Device.attributes, Device.installed_id).where(
        Device.tenant_id == standing.tenant_id,
        sa.or_(Device.token_hash.is_(None), Device.token_hash != REVOKED),
        ~sa.exists().where(Action.device_id == Device.id, Action.rollout_id == standing.id),
    )
    if standing.rolls_back is not None:
        touched = sa.select(Action.device_id).where(
            Action.rollout_id == standing.rolls_back, Action.offered.is_not(None)
        )
        if standing.rolls_back_group is not None:
            touched = touched.where(Action.group_index == standing.rolls_back_group)
        device = device.where(Device.id.in_(touched))
    underway: Sequence[int] = ()
    if standing.rolls_back is not None:
        underway = connection.scalars(_UNDERWAY, {"rollout": standing.rolls_back}).all()
    uncertain = frozenset(underway)
    made: list[dict[str, Any]] = []
    # Not all of them at once: what a million devices say of themselves takes a gigabyte.
    found = connection.execute(device.order_by(Device.id), execution_options={"yield_per": _BATCH})
    for row in found:
        index = 0 if standing.rolls_back else standing.membership.group_of(row.name, row.attributes)
        if (
            index is not None
            and (row.installed_id != release.id or row.id in uncertain)
            and eligible(release.minimum, row.attributes)
        ):
            made.append(_action(standing, row.id, index, now))
        if len(made) == _BATCH:
            connection.execute(_INSERT, made)
            made = []
    if made:
        connection.execute(_INSERT, made)
    _supersede(standings, standing, release.name)
    standings.changed(standing.id)


def join(standings: Standings, device: Any) -> None:
    """Gives a device that came late, or told more of itself, its action in each rollout that takes it.

    So it does one whose hardware was replaced; its action begins anew then.

    Of several rollouts of one name of releases, only the newest that is not halted or given up counts:
    nobody is led through the past.

    Args:
        standings: of the transaction.
        device: the device's row.
    """
    connection = standings.connection
    for id_ in standings.newest(device.tenant_id):
        standing = standings.of(id_)
        if standing.plan.late_joiners != "take" or device.installed_id == standing.release_id:
            continue
        index = standing.membership.group_of(device.name, device.attributes)
        release = standings.release(standing.release_id)
        if index is None or not eligible(release.minimum, device.attributes):
            continue
        known = connection.execute(_KNOWN, {"rollout": id_, "device": device.id}).first()
        fresh = _action(standing, device.id, index, standings.now)
        if known is None:
            connection.execute(_INSERT, fresh)
            standings.changed(id_)
        elif known.execution == REPLACED:
            again = sa.update(ACTION).where(ACTION.c.id == known.id)
            connection.execute(again.values(**fresh, offered=None, ended=None, confirmed=None))
            standings.changed(id_)


def _action(standing: Standing, device: int, index: int, now: float) -> dict[str, Any]:
    return {
        "device_id": device,
        "rollout_id": standing.id,
        "release_id": standing.release_id,
        "group_index": index,
        "state": "scheduled",
        "created": now,
        "cancel_asked": False,
        "superseded": False,
        "execution": "",
    }


def _supersede(standings: Standings, standing: Standing, name: str) -> None:
    connection = standings.connection
    mine = sa.select(Action.device_id).where(Action.rollout_id == standing.id)
    line = sa.select(Release.id).where(
        Release.tenant_id == standing.tenant_id, Release.name == name
    )
    older = sa.and_(
        Action.rollout_id < standing.id, Action.device_id.in_(mine), Action.release_id.in_(line)
    )
    waiting = sa.and_(older, Action.state == "scheduled")
    for rollout in connection.scalars(sa.select(Action.rollout_id).where(waiting).distinct()).all():
        standings.changed(rollout)
    connection.execute(
        sa.update(Action)
        .where(waiting)
        .values(state="canceled", ended=standings.now, superseded=True)
    )
    at_work = Action.state.in_(("offered", "running", "timed_out"))
    connection.execute(sa.update(Action).where(older, at_work).values(superseded=True))

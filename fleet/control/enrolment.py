"""Which devices a rollout has: an action for each, made when it starts or when the device comes late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control.devices import eligible
from fleet.control.standing import Standing, Standings
from fleet.control.tokens import REVOKED
from fleet.rollout.engine import RolloutState
from fleet.rollout.plan import MAX_GROUPS
from fleet.store.schema import ACTION, Action, Device, Release, Rollout

_BATCH = 2000
_WITHDRAWN = 50_000
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


def enrol(standings: Standings, standing: Standing, after: int = 0) -> None:
    """Makes the missing actions of a rollout's devices, of those whose id is above `after`.

    Left out are devices that run the release already, or do not meet its minimum; a roll back takes those
    too that may still be installing the other one. What an earlier rollout of the same name of releases
    still had for a device is superseded.
    """
    # Not all of them at once: what a million devices say of themselves takes a gigabyte.
    found = standings.connection.execute(
        _lacking(standing, after).order_by(Device.id),
        execution_options={"yield_per": _BATCH},
    )
    _take_in(standings, standing, found)
    if _has_earlier(standings, standing):
        _supersede(standings, standing, sa.true())
    standings.changed(standing.id)


def enrol_some(standings: Standings, standing: Standing, after: int, most: int) -> int | None:
    """Makes the missing actions of the next devices, and supersedes nothing yet.

    Args:
        standings: of the transaction.
        standing: of the rollout.
        after: the id of the last device that was looked at; 0 to begin.
        most: how many devices.

    Returns:
        The id of the last one that was looked at by now; None when no other is left.
    """
    if standing.rolls_back is not None:
        # The next of those who were touched, so that the others are looked at once in all pieces together.
        touched = _touched(standing).where(Action.device_id > after).order_by(Action.device_id)
        last = standings.connection.scalar(touched.offset(most - 1).limit(1))
        found = standings.connection.execute(_lacking(standing, after, last)).all()
        _take_in(standings, standing, found)
        return last
    some = _lacking(standing, after).order_by(Device.id).limit(most)
    found = standings.connection.execute(some).all()
    _take_in(standings, standing, found)
    return found[-1].id if len(found) == most else None


def supersede_some(standings: Standings, standing: Standing, after: int, most: int) -> int | None:
    """Supersedes what earlier rollouts had for the next of the devices, and goes on as `enrol_some` does."""
    if not _has_earlier(standings, standing):
        return None
    mine = sa.select(ACTION.c.device_id).where(
        ACTION.c.rollout_id == standing.id, ACTION.c.device_id > after
    )
    found = standings.connection.scalars(mine.order_by(ACTION.c.device_id).limit(most)).all()
    if found:
        _supersede(standings, standing, Action.device_id.between(found[0], found[-1]))
    return found[-1] if len(found) == most else None


def supersede_between(
    standings: Standings, standing: Standing, after: int, last: int | None
) -> None:
    """Supersedes what earlier rollouts had for its devices with ids above `after`, up to `last` if given."""
    if _has_earlier(standings, standing):
        these = Action.device_id > after
        _supersede(
            standings, standing, these if last is None else these & (Action.device_id <= last)
        )


def withdraw_some(standings: Standings, rollout: int, most: int = _WITHDRAWN) -> int:
    """Cancels actions that nobody was shown, of a rollout that was given up; gives how many."""
    given_up = sa.select(Rollout.id).where(
        Rollout.id == rollout, Rollout.state == RolloutState.ABORTED
    )
    # The groups are named so that the index is searched: what was withdrawn before is not looked at again.
    some = sa.select(ACTION.c.id).where(
        ACTION.c.rollout_id.in_(given_up),
        ACTION.c.group_index.in_(range(MAX_GROUPS)),
        ACTION.c.state == "scheduled",
    )
    withdrawn = sa.update(ACTION).where(ACTION.c.id.in_(some.limit(most)))
    return standings.connection.execute(
        withdrawn.values(state="canceled", ended=standings.now)
    ).rowcount


def takes_anybody(standings: Standings, standing: Standing) -> bool:
    """Whether there is any device that the rollout would take."""
    found = standings.connection.execute(
        _lacking(standing, 0), execution_options={"yield_per": _BATCH}
    )
    return next(_wanted(standings, standing, found), None) is not None


def dismiss_some(connection: sa.Connection, rollout: int, most: int) -> int:
    """Takes back actions that nobody was shown, of a rollout that was not started; gives how many."""
    some = sa.select(ACTION.c.id).where(ACTION.c.rollout_id == rollout).limit(most)
    gone = connection.execute(sa.delete(ACTION).where(ACTION.c.id.in_(some)))
    return gone.rowcount


def _lacking(standing: Standing, after: int, last: int | None = None) -> Any:
    """Devices with ids above `after`, up to `last` if given, that may be its own and have no action of it."""
    device = sa.select(Device.id, Device.name, Device.attributes, Device.installed_id).where(
        # They are wanted by id: the sum keeps SQLite from the index by name, and from sorting them all.
        Device.tenant_id + 0 == standing.tenant_id,
        Device.id > after,
        sa.or_(Device.token_hash.is_(None), Device.token_hash != REVOKED),
        ~sa.exists().where(Action.device_id == Device.id, Action.rollout_id == standing.id),
    )
    if standing.rolls_back is None:
        return device
    touched = _touched(standing).where(Action.device_id > after)
    if last is not None:
        touched = touched.where(Action.device_id <= last)
    return device.where(Device.id.in_(touched))


def _touched(standing: Standing) -> Any:
    """The ids of the devices that a roll back brings back."""
    touched = sa.select(Action.device_id).where(
        Action.rollout_id == standing.rolls_back, Action.offered.is_not(None)
    )
    if standing.rolls_back_group is not None:
        touched = touched.where(Action.group_index == standing.rolls_back_group)
    return touched


def _is_touched(standings: Standings, standing: Standing, device: int) -> bool:
    touched = _touched(standing).where(Action.device_id == device)
    return standings.connection.scalar(touched) is not None


def _take_in(standings: Standings, standing: Standing, found: Iterable[Any]) -> None:
    made: list[dict[str, Any]] = []
    for device, index in _wanted(standings, standing, found):
        made.append(_action(standing, device, index, standings.now))
        if len(made) == _BATCH:
            standings.connection.execute(_INSERT, made)
            made = []
    if made:
        standings.connection.execute(_INSERT, made)


def _wanted(
    standings: Standings, standing: Standing, found: Iterable[Any]
) -> Iterator[tuple[int, int]]:
    """Of the devices, the ids of those that the rollout takes, each with the index of its group."""
    release = standings.release(standing.release_id)
    underway: Sequence[int] = ()
    if standing.rolls_back is not None:
        given = {"rollout": standing.rolls_back}
        underway = standings.connection.scalars(_UNDERWAY, given).all()
    uncertain = frozenset(underway)
    for row in found:
        index = 0 if standing.rolls_back else standing.membership.group_of(row.name, row.attributes)
        if (
            index is not None
            and (row.installed_id != release.id or row.id in uncertain)
            and eligible(release.minimum, row.attributes)
        ):
            yield row.id, index


def join(standings: Standings, device: Any) -> None:
    """Gives a device that came late, or told more of itself, its action in each rollout that takes it.

    So it does one whose hardware was replaced; its action begins anew then. Rollouts that start just now
    take every device, for their start may have looked at it before; but a roll back none that the rollout
    which it brings back has not touched.

    Of several rollouts of one name of releases, only the newest that is not halted or given up counts:
    nobody is led through the past.

    Args:
        standings: of the transaction.
        device: the device's row.
    """
    connection = standings.connection
    begun = standings.newest(device.tenant_id)
    taking = [id_ for id_ in begun if standings.of(id_).plan.late_joiners == "take"]
    for id_ in (*taking, *standings.starting(device.tenant_id)):
        standing = standings.of(id_)
        if device.installed_id == standing.release_id:
            continue
        if standing.rolls_back is not None and not _is_touched(standings, standing, device.id):
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


def _line(standings: Standings, standing: Standing) -> Any:
    """The ids of the releases of the same name."""
    name = standings.release(standing.release_id).name
    return sa.select(Release.id).where(
        Release.tenant_id == standing.tenant_id, Release.name == name
    )


def _has_earlier(standings: Standings, standing: Standing) -> bool:
    earlier = sa.select(Rollout.id).where(
        Rollout.id < standing.id, Rollout.release_id.in_(_line(standings, standing))
    )
    return standings.connection.scalar(earlier.limit(1)) is not None


def _supersede(standings: Standings, standing: Standing, these: sa.ColumnElement[bool]) -> None:
    """Ends what earlier rollouts of the same name of releases have for devices of this one, `these` alone."""
    connection = standings.connection
    mine = sa.select(Action.device_id).where(Action.rollout_id == standing.id, these)
    older = sa.and_(
        these,
        Action.rollout_id < standing.id,
        Action.device_id.in_(mine),
        Action.release_id.in_(_line(standings, standing)),
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

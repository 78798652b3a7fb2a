"""Steering rollouts: made, started, paused, resumed, aborted, rolled back; and how they stand, as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any

import sqlalchemy as sa

from fleet.control import audit, releases, telemetry
from fleet.control.enrolment import dismiss_some, enrol, enrol_some, supersede_some
from fleet.control.standing import Standing, Standings, at_work, live, moving, samples
from fleet.rollout import engine
from fleet.rollout.engine import RolloutState
from fleet.rollout.errors import RolloutError
from fleet.rollout.plan import Group, Plan, encode
from fleet.rollout.quality import Comparison, compare
from fleet.store.errors import NotFoundError
from fleet.store.schema import Action, Device, Release, Rollout

_PIECE = 5_000  # devices that are sorted into groups at once: a tenth of a second of CPU


def create(
    standings: Standings, tenant: int, who: str, release: Any, plan: Plan, name: str = ""
) -> int:
    """Makes a rollout, which touches nobody before it is started; gives its id.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        release: the release's row.
        plan: the groups and their thresholds.
        name: what people call it; the release's name and version by default.
    """
    return _insert(
        standings, tenant, who, release, plan, name or f"{release.name} {release.version}"
    )


class Stage(enum.Enum):
    """What a preparation is at, in this order."""

    DISMISS = "dismiss"
    SORT = "sort"
    SUPERSEDE = "supersede"
    DONE = "done"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """How far the preparation of a start is.

    Attributes:
        stage: what it is at.
        after: the id of the last device that was looked at in it.
        devices: how many were looked at in it.
        claim: what the rollout says of this start; empty before its first piece.
        sorted: devices up to this id need not be looked at again: what came of them since was told.
    """

    stage: Stage = Stage.DISMISS
    after: int = 0
    devices: int = 0
    claim: str = ""
    sorted: int = 0


def prepare(
    standings: Standings, tenant: int, who: str, id_: int, reached: Preparation
) -> Preparation:
    """A piece of what starting takes, in a transaction of a fraction of a second; `start` does what is left.

    What a start that was killed left is taken back, for devices may have told other things of themselves
    since. Devices are sorted into the groups, and shown nothing yet. Then what earlier rollouts have for
    them is superseded. Meanwhile the rollout's reason says who starts it, and since when.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout.
        reached: what the piece before gave; a new one to begin.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it was started before, or would have an empty group first (see `start`), or
            somebody else began to start it since the piece before.
    """
    standing = _of(standings, tenant, id_)
    engine.start(standing.rollout)
    reached = _claim(standings, standing, who, reached)
    if reached.stage is Stage.DISMISS:
        if dismiss_some(standings.connection, id_, _PIECE):
            return reached
        reached = dataclasses.replace(reached, stage=Stage.SORT)
    if reached.stage is Stage.SORT:
        last = enrol_some(standings, standing, reached.after, _PIECE)
        if last is None:
            _check_first_group(standings, standing)
            return Preparation(stage=Stage.SUPERSEDE, claim=reached.claim, sorted=reached.after)
    else:
        last = supersede_some(standings, standing, reached.after, _PIECE)
        if last is None:
            return dataclasses.replace(reached, stage=Stage.DONE)
    return dataclasses.replace(reached, after=last, devices=reached.devices + _PIECE)


def start(
    standings: Standings,
    tenant: int,
    who: str,
    id_: int,
    reached: Preparation = Preparation(),
) -> Standing:
    """Starts it: from now on its devices are those that match.

    With many devices, `prepare` in pieces before leaves little to do here, where others who write wait.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout.
        reached: what the last piece of `prepare` gave; by default all is done here.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it was started before, or somebody else began to start it since, or its first group
            would be empty: then nothing would stand between the release and the second group.
    """
    standing = _of(standings, tenant, id_)
    engine.start(standing.rollout)
    if reached.claim:
        _check_claim(standing, reached)
    enrol(standings, standing, reached.sorted)
    _check_first_group(standings, standing)
    _note(standings, standing, who, "rollout start")
    standings.connection.execute(
        sa.update(Rollout).where(Rollout.id == id_).values(started=standings.now)
    )
    standing = standings.change(id_, lambda s: engine.start(s.rollout))
    standings.settle()
    return standing


def pause(standings: Standings, tenant: int, who: str, id_: int, reason: str = "") -> Standing:
    """Holds it.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it does not run.
    """
    _note(standings, _of(standings, tenant, id_), who, "rollout pause", reason)
    said = reason or f"paused by {who}"
    return standings.change(id_, lambda s: engine.pause(s.rollout, said))


def resume(standings: Standings, tenant: int, who: str, id_: int) -> Standing:
    """Goes on, in spite of what failed or of what telemetry told; devices that came meanwhile are taken in.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it is neither paused nor halted.
    """
    standing = _of(standings, tenant, id_)
    engine.resume(standing.rollout, standing.counts)
    _note(standings, standing, who, "rollout resume", standing.rollout.reason)
    if standing.rollout.state is RolloutState.HALTED:
        telemetry.forget(standings.connection, id_)
    if standing.plan.late_joiners == "take" and standing.rolls_back is None:
        enrol(standings, standing)
    return standings.change(id_, lambda s: engine.resume(s.rollout, s.counts))


def abort(standings: Standings, tenant: int, who: str, id_: int, reason: str = "") -> Standing:
    """Gives it up: what was not shown is withdrawn, devices at work are asked to cancel.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it is over.
    """
    standing = _of(standings, tenant, id_)
    _note(standings, standing, who, "rollout abort", reason)
    said = reason or f"aborted by {who}"
    moved = engine.abort(standing.rollout, said)
    withdraw(standings, id_)
    return standings.change(id_, lambda _: moved)


def withdraw(standings: Standings, id_: int) -> None:
    """Cancels what was not shown, and asks for the rest to be canceled (rule 6 of an action)."""
    connection, mine = standings.connection, Action.rollout_id == id_
    connection.execute(
        sa.update(Action)
        .where(mine, Action.state == "scheduled")
        .values(state="canceled", ended=standings.now)
    )
    at_work = Action.state.in_(("offered", "running"))
    connection.execute(sa.update(Action).where(mine, at_work).values(cancel_asked=True))


def roll_back(
    standings: Standings, tenant: int, who: str, id_: int, release: Any, group: str | None = None
) -> Standing:
    """Brings the devices that a rollout touched to another release, at once; the rollout is given up.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout whose devices are meant.
        release: the row of the release that they get.
        group: the name of the only group that is meant; None for all.

    Returns:
        How the new rollout stands.

    Raises:
        NotFoundError: if the tenant has no such rollout or group.
        RolloutError: if there is no device to bring back.
    """
    standing = _of(standings, tenant, id_)
    if not any(count.touched for count in standing.counts):
        raise RolloutError(f"rollout {id_}: it has touched no device: there is none to bring back")
    names = [each.name for each in standing.plan.groups]
    if group is not None and group not in names:
        raise NotFoundError(f"rollout {id_}: it has no group {group[:80]}: {', '.join(names)}")
    if standing.rollout.state in ("running", "paused", "halted") and group is None:
        abort(standings, tenant, who, id_, f"rolled back by {who}")
    everyone = Group(
        name="roll back", percent=100, exposure=1_000_000, error_threshold=1, minimum_sample=1
    )
    plan = Plan(groups=(everyone,), time_out_s=standing.plan.time_out_s, late_joiners="leave")
    back = _insert(
        standings, tenant, who, release, plan, f"back to {release.name} {release.version}",
        rolls_back=id_, rolls_back_group=None if group is None else names.index(group),
    )  # fmt: skip
    return start(standings, tenant, who, back)


def tick(standings: Standings) -> list[int]:
    """What the passing of time does: actions time out, groups begin and end; gives the ids of what is live.

    Of the rollouts that are finished, those alone are counted that still have a device to wait for: with the
    years there are many, each of which may have a million actions.
    """
    connection, now = standings.connection, standings.now
    for id_ in at_work(connection):
        before = now - standings.of(id_).plan.time_out_s
        expired = connection.execute(
            sa.update(Action)
            .where(
                Action.rollout_id == id_,
                Action.state.in_(("offered", "running")),
                Action.offered <= before,
            )
            .values(state="timed_out", ended=now, cancel_asked=False)
        )
        if expired.rowcount:
            standings.changed(id_)
    for id_ in moving(connection):
        standings.changed(id_)
    standings.settle()
    return live(connection)


def status(connection: sa.Connection, tenant: int, id_: int) -> dict[str, Any]:
    """How a rollout stands, as JSON.

    Raises:
        NotFoundError: if the tenant has no such rollout.
    """
    standing = _of(Standings(connection, 0.0), tenant, id_)
    release = releases.by_id(connection, standing.release_id)
    row: Any = connection.execute(
        sa.select(Rollout.created, Rollout.started).where(Rollout.id == id_)
    ).one()
    groups = zip(standing.plan.groups, standing.rollout.groups, standing.counts, strict=True)
    return {
        "id": id_,
        "name": standing.name,
        "state": str(standing.rollout.state),
        "reason": standing.rollout.reason,
        "release": {"name": release.name, "version": release.version},
        "rolls_back": standing.rolls_back,
        "created": row.created,
        "started": row.started,
        "groups": [
            {
                "name": group.name,
                "state": "done" if state.done else "running" if state.begun else "waiting",
                "begun": state.begun,
                "done": state.done,
                "devices": count.devices,
                "touched": count.touched,
                "in_flight": count.in_flight,
                "success": count.success,
                "error": count.error,
                "timed_out": count.timed_out,
                "canceled": count.canceled,
            }
            for group, state, count in groups
        ],
        "quality": [
            _described(comparison)
            for comparison in compare(standing.plan.quality, samples(connection, id_))
        ],
        "plan": encode(standing.plan),
    }


def _described(comparison: Comparison) -> dict[str, Any]:
    return {
        "metric": comparison.metric,
        "direction": str(comparison.direction),
        "slice": comparison.slice,
        "pairs": comparison.pairs,
        "worse": comparison.worse,
        "times": comparison.times,
        "evidence": comparison.evidence,
        "limit": comparison.limit,
        "breach": comparison.breach,
    }


def listing(
    connection: sa.Connection, tenant: int, limit: int = 100, release: int | None = None
) -> list[dict[str, Any]]:
    """A tenant's rollouts, newest first, without their groups; those of one release alone if it is given."""
    query = (
        sa.select(
            Rollout.id, Rollout.name, Rollout.state, Rollout.reason, Rollout.created,
            Rollout.started, Release.name.label("release"), Release.version,
        )
        .join(Release, Release.id == Rollout.release_id)
        .where(Rollout.tenant_id == tenant)
        .order_by(Rollout.id.desc())
        .limit(limit)
    )  # fmt: skip
    if release is not None:
        query = query.where(Rollout.release_id == release)
    return [
        {
            "id": row.id,
            "name": row.name,
            "state": row.state,
            "reason": row.reason,
            "release": {"name": row.release, "version": row.version},
            "created": row.created,
            "started": row.started,
        }
        for row in connection.execute(query)
    ]


def latest_of(connection: sa.Connection, release: int) -> int | None:
    """The newest rollout of a release that is no roll-back to it; None if it had none."""
    return connection.scalar(
        sa.select(sa.func.max(Rollout.id)).where(
            Rollout.release_id == release, Rollout.rolls_back.is_(None)
        )
    )


def _insert(
    standings: Standings,
    tenant: int,
    who: str,
    release: Any,
    plan: Plan,
    name: str,
    **back: Any,
) -> int:
    rollout = engine.Rollout.of(plan)
    id_ = standings.connection.execute(
        sa.insert(Rollout)
        .values(
            tenant_id=tenant,
            release_id=release.id,
            name=name,
            plan=encode(plan),
            state=str(rollout.state),
            reason="",
            groups=[{} for _ in plan.groups],
            created=standings.now,
            **back,
        )
        .returning(Rollout.id)
    ).scalar_one()
    audit.note(
        standings.connection, standings.now, tenant, who, "rollout create", f"{id_} {name}",
        {"release": f"{release.name} {release.version}", "groups": [g.name for g in plan.groups]},
    )  # fmt: skip
    return id_


def _of(standings: Standings, tenant: int, id_: int) -> Standing:
    standing = standings.of(id_) if 0 < id_ < 2**31 else None
    if standing is None or standing.tenant_id != tenant:
        raise NotFoundError(f"rollout {id_}: there is none")
    return standing


def _note(standings: Standings, standing: Standing, who: str, what: str, reason: str = "") -> None:
    subject = f"{standing.id} {standing.name}"
    details = {"reason": reason} if reason else {}
    audit.note(standings.connection, standings.now, standing.tenant_id, who, what, subject, details)


def _claim(standings: Standings, standing: Standing, who: str, reached: Preparation) -> Preparation:
    """Lets one start go on, the one that began last: two would take back each other's work."""
    if not reached.claim:
        moment = datetime.datetime.fromtimestamp(standings.now, datetime.UTC)
        reached = dataclasses.replace(
            reached,
            claim=f"a start by {who} began at {moment:%Y-%m-%d %H:%M:%S.%f} UTC and is not done: if it was "
            "interrupted, start it again",
        )
        standings.connection.execute(
            sa.update(Rollout).where(Rollout.id == standing.id).values(reason=reached.claim)
        )
    else:
        _check_claim(standing, reached)
    return reached


def _check_claim(standing: Standing, reached: Preparation) -> None:
    if standing.rollout.reason != reached.claim:
        raise RolloutError(
            f"rollout {standing.id}: somebody else starts it since: {standing.rollout.reason}"
        )


def _check_first_group(standings: Standings, standing: Standing) -> None:
    """Refuses to start a rollout that nobody would prove first."""
    anybody = sa.select(Device.id).where(Device.tenant_id == standing.tenant_id).limit(1)
    if standings.connection.scalar(anybody) is None:
        raise RolloutError(
            f"rollout {standing.id}: no device has come yet: let them poll the server, with the gateway's "
            "token or with one of their own (`python -m fleet device add`), and start it then"
        )
    first = (
        sa.select(Action.id)
        .where(Action.rollout_id == standing.id, Action.group_index == 0)
        .limit(1)
    )
    if standings.connection.scalar(first) is None:
        raise RolloutError(
            f"rollout {standing.id}: no device is in its first group, {standing.plan.groups[0].name}: list "
            "devices, change its filter, or raise its percent; devices that run the release already or "
            "have not told an agent and runtime that it needs do not count"
        )

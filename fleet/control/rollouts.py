"""Steering rollouts: made, started, paused, resumed, aborted, rolled back; and how they stand, as JSON."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from fleet.control import audit, releases, telemetry
from fleet.control.enrolment import enrol, takes_anybody, withdraw_some
from fleet.control.preparation import (
    NOT_PREPARED,
    Preparation,
    check_claim,
    check_first_group,
    takes_late_joiners,
)
from fleet.control.standing import RESUMING, Standing, Standings, at_work, live, moving, samples
from fleet.rollout import engine
from fleet.rollout.engine import RolloutState
from fleet.rollout.errors import RolloutError
from fleet.rollout.plan import Group, Plan, encode
from fleet.rollout.quality import Comparison, compare
from fleet.store.errors import NotFoundError
from fleet.store.schema import Action, Release, Rollout


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


def start(
    standings: Standings,
    tenant: int,
    who: str,
    id_: int,
    reached: Preparation = NOT_PREPARED,
) -> Standing:
    """Starts it: from now on its devices are those that match.

    With many devices, `prepare_start` in pieces before leaves little to do here, where others who write wait.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout.
        reached: what the last piece of `prepare_start` gave; by default all is done here.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it was started before, or somebody else began to start it since, or its first group
            would be empty: then nothing would stand between the release and the second group.
    """
    standing = standings.of_tenant(tenant, id_)
    engine.start(standing.rollout)
    check_claim(standing, reached)
    if standing.rolls_back is not None:
        while withdraw_some(standings, standing.rolls_back):
            pass
    enrol(standings, standing, reached.sorted)
    check_first_group(standings, standing)
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
    _note(standings, standings.of_tenant(tenant, id_), who, "rollout pause", reason)
    said = reason or f"paused by {who}"
    return standings.change(id_, lambda s: engine.pause(s.rollout, said))


def resume(
    standings: Standings,
    tenant: int,
    who: str,
    id_: int,
    reached: Preparation = NOT_PREPARED,
) -> Standing:
    """Goes on, in spite of what failed or of what telemetry told; devices that came meanwhile are taken in.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout.
        reached: what the last piece of `prepare_resume` gave; by default all is done here.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it is neither paused nor halted, or somebody else began to resume it since.
    """
    standing = standings.of_tenant(tenant, id_)
    engine.resume(standing.rollout, standing.counts)
    check_claim(standing, reached)
    reason = standing.rollout.reason.partition(RESUMING)[0]
    _note(standings, standing, who, "rollout resume", reason)
    if standing.rollout.state is RolloutState.HALTED:
        telemetry.forget(standings.connection, id_)
    if takes_late_joiners(standing):
        enrol(standings, standing, reached.sorted)
    return standings.change(id_, lambda s: engine.resume(s.rollout, s.counts))


def abort(standings: Standings, tenant: int, who: str, id_: int, reason: str = "") -> Standing:
    """Gives it up: what was not shown is withdrawn, devices at work are asked to cancel.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it is over.
    """
    standing = _stop(
        standings, standings.of_tenant(tenant, id_), who, reason, reason or f"aborted by {who}"
    )
    while withdraw_some(standings, id_):
        standings.changed(id_)
    standings.settle()
    return standing


def _stop(standings: Standings, standing: Standing, who: str, reason: str, said: str) -> Standing:
    """Aborts it, and asks devices at work to cancel; what was not shown is left, and never will be."""
    _note(standings, standing, who, "rollout abort", reason)
    moved = engine.abort(standing.rollout, said)
    standings.connection.execute(
        sa.update(Action)
        .where(Action.rollout_id == standing.id, Action.state.in_(("offered", "running")))
        .values(cancel_asked=True)
    )
    return standings.change(standing.id, lambda _: moved)


def roll_back(
    standings: Standings, tenant: int, who: str, id_: int, release: Any, group: str | None = None
) -> int:
    """Gives a rollout up, and makes one that brings the devices which it touched to another release, at once.

    The one that is made is to be started: that withdraws what was not shown of the one that was given up,
    too, which nobody is shown in between. Until it was started, it is found again when this is called again.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout whose devices are meant.
        release: the row of the release that they get.
        group: the name of the only group that is meant, and the rollout goes on; None for all.

    Returns:
        The id of the rollout to start.

    Raises:
        NotFoundError: if the tenant has no such rollout or group.
        RolloutError: if there is no device to bring back.
    """
    standing = standings.of_tenant(tenant, id_)
    if not any(count.touched for count in standing.counts):
        raise RolloutError(f"rollout {id_}: it has touched no device: there is none to bring back")
    names = [each.name for each in standing.plan.groups]
    if group is not None and group not in names:
        raise NotFoundError(f"rollout {id_}: it has no group {group[:80]}: {', '.join(names)}")
    index = None if group is None else names.index(group)
    if standing.rollout.state in ("running", "paused", "halted") and group is None:
        reason = f"rolled back by {who}"
        _stop(standings, standing, who, reason, reason)
    begun = sa.select(Rollout.id).where(
        Rollout.rolls_back == id_,
        Rollout.rolls_back_group.is_(None) if index is None else Rollout.rolls_back_group == index,
        Rollout.release_id == release.id,
        Rollout.state == RolloutState.READY,
    )
    known: int | None = standings.connection.scalar(begun)
    if known is not None:
        return known
    everyone = Group(
        name="roll back", percent=100, exposure=1_000_000, error_threshold=1, minimum_sample=1
    )
    plan = Plan(groups=(everyone,), time_out_s=standing.plan.time_out_s, late_joiners="leave")
    back = _insert(
        standings, tenant, who, release, plan, f"back to {release.name} {release.version}",
        rolls_back=id_, rolls_back_group=index,
    )  # fmt: skip
    if not takes_anybody(standings, standings.of(back)):
        check_first_group(standings, standings.of(back))
    return back


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
    standing = Standings(connection, 0.0).of_tenant(tenant, id_)
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


def _note(standings: Standings, standing: Standing, who: str, what: str, reason: str = "") -> None:
    subject = f"{standing.id} {standing.name}"
    details = {"reason": reason} if reason else {}
    audit.note(standings.connection, standings.now, standing.tenant_id, who, what, subject, details)

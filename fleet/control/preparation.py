"""What starting and resuming a rollout takes, in pieces, so that others who write wait for one of them.

Nobody is shown anything of it before it is whole, for the rollout does not run. Meanwhile its reason says
who is at it, and since when: so a second one who begins takes over, and devices that come are its own.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum

import sqlalchemy as sa

from fleet.control.enrolment import (
    dismiss_some,
    enrol_some,
    supersede_between,
    supersede_some,
    withdraw_some,
)
from fleet.control.standing import RESUMING, Standing, Standings
from fleet.rollout import engine
from fleet.rollout.errors import RolloutError
from fleet.store.schema import Action, Device, Rollout

_PIECE = 5_000  # devices that are sorted into groups at once: a tenth of a second of CPU


class Stage(enum.Enum):
    """What a preparation is at, in this order."""

    WITHDRAW = "withdraw"
    DISMISS = "dismiss"
    SORT = "sort"
    SUPERSEDE = "supersede"
    DONE = "done"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """How far the preparation is.

    Attributes:
        stage: what it is at.
        after: the id of the last device that was looked at in it.
        devices: how many were looked at in it.
        claim: what the rollout says of it; empty before its first piece, and where there is none to do.
        sorted: devices up to this id need not be looked at again: what came of them since was told.
    """

    stage: Stage = Stage.WITHDRAW
    after: int = 0
    devices: int = 0
    claim: str = ""
    sorted: int = 0


NOT_PREPARED = Preparation()


def prepare_start(
    standings: Standings, tenant: int, who: str, id_: int, reached: Preparation
) -> Preparation:
    """A piece of what starting takes, a fraction of a second's transaction; `rollouts.start` does the rest.

    A roll back withdraws first what was not shown of the rollout that it brings back, if that was given
    up. What a start that was killed left is taken back, for devices may have told other things of themselves
    since. Devices are sorted into the groups, and shown nothing yet. Then what earlier rollouts have for
    them is superseded.

    Args:
        standings: of the transaction.
        tenant: whose.
        who: does it.
        id_: the rollout.
        reached: what the piece before gave; a new one to begin.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it was started before, or would have an empty group first (see `rollouts.start`), or
            somebody else began to start it since the piece before.
    """
    standing = standings.of_tenant(tenant, id_)
    engine.start(standing.rollout)
    reached = _claim(standings, standing, reached, "", f"a start by {who}", "start")
    if reached.stage is Stage.WITHDRAW:
        if standing.rolls_back is not None and withdraw_some(
            standings, standing.rolls_back, _PIECE
        ):
            return dataclasses.replace(reached, devices=reached.devices + _PIECE)
        reached = dataclasses.replace(reached, stage=Stage.DISMISS, devices=0)
    if reached.stage is Stage.DISMISS:
        if dismiss_some(standings.connection, id_, _PIECE):
            return reached
        reached = dataclasses.replace(reached, stage=Stage.SORT)
    if reached.stage is Stage.SORT:
        last = enrol_some(standings, standing, reached.after, _PIECE)
        if last is None:
            check_first_group(standings, standing)
            return Preparation(stage=Stage.SUPERSEDE, claim=reached.claim, sorted=reached.after)
    else:
        last = supersede_some(standings, standing, reached.after, _PIECE)
        if last is None:
            return dataclasses.replace(reached, stage=Stage.DONE)
    return dataclasses.replace(reached, after=last, devices=reached.devices + _PIECE)


def prepare_resume(
    standings: Standings, tenant: int, who: str, id_: int, reached: Preparation
) -> Preparation:
    """A piece of what resuming takes, as `prepare_start` does; `rollouts.resume` does the rest.

    Devices that came meanwhile are sorted into the groups, and what earlier rollouts have for them is
    superseded. One that was interrupted leaves them there, and is called again.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it is neither paused nor halted, or somebody else began to resume it since the piece
            before.
    """
    standing = standings.of_tenant(tenant, id_)
    engine.resume(standing.rollout, standing.counts)
    if not takes_late_joiners(standing):
        return Preparation(stage=Stage.DONE)
    former = standing.rollout.reason.partition(RESUMING)[0]
    reached = _claim(standings, standing, reached, former, f"{RESUMING}{who}", "resume")
    last = enrol_some(standings, standing, reached.after, _PIECE)
    supersede_between(standings, standing, reached.after, last)
    standings.changed(id_)
    if last is None:
        newest = standings.connection.scalar(sa.select(sa.func.max(Device.id)))
        return dataclasses.replace(reached, stage=Stage.DONE, sorted=newest or 0)
    return dataclasses.replace(
        reached, stage=Stage.SORT, after=last, devices=reached.devices + _PIECE
    )


def takes_late_joiners(standing: Standing) -> bool:
    """Whether devices that come while it does not run are its own."""
    return standing.plan.late_joiners == "take" and standing.rolls_back is None


def check_claim(standing: Standing, reached: Preparation) -> None:
    """Lets one go on, the one that began last: two would take back each other's work.

    Raises:
        RolloutError: if that is somebody else.
    """
    if not standing.rollout.reason.endswith(reached.claim):
        raise RolloutError(
            f"rollout {standing.id}: somebody else began that since: {standing.rollout.reason}"
        )


def _claim(
    standings: Standings, standing: Standing, reached: Preparation, former: str, by: str, verb: str
) -> Preparation:
    if reached.claim:
        check_claim(standing, reached)
        return reached
    moment = datetime.datetime.fromtimestamp(standings.now, datetime.UTC)
    claim = (
        f"{by} began at {moment:%Y-%m-%d %H:%M:%S.%f} UTC and is not done: if it was interrupted, "
        f"{verb} it again"
    )
    standings.connection.execute(
        sa.update(Rollout).where(Rollout.id == standing.id).values(reason=former + claim)
    )
    standing.rollout = dataclasses.replace(standing.rollout, reason=former + claim)
    return dataclasses.replace(reached, claim=claim)


def check_first_group(standings: Standings, standing: Standing) -> None:
    """Refuses to start a rollout that nobody would prove first.

    Raises:
        RolloutError: if its first group is empty.
    """
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

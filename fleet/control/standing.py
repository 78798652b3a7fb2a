"""How rollouts stand: read from the database, counted from the actions, and written back by the engine.

`Standings` is for one transaction, in which nobody else writes. It counts a rollout's actions once, and
again only after one of them changed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control import audit, releases
from fleet.rollout import engine, quality
from fleet.rollout.action import IN_FLIGHT
from fleet.rollout.engine import Counts, GroupState, Rollout, RolloutState
from fleet.rollout.membership import Membership
from fleet.rollout.plan import MAX_GROUPS, Plan, decode
from fleet.store.errors import NotFoundError
from fleet.store.schema import ACTION, RELEASE, ROLLOUT, Action, Sample
from fleet.store.schema import Rollout as Row

ENGINE = "rollout engine"
LIVE = (RolloutState.RUNNING, RolloutState.FINISHED)
_NEWEST = (
    sa.select(sa.func.max(ROLLOUT.c.id))
    .join(RELEASE, RELEASE.c.id == ROLLOUT.c.release_id)
    .where(
        ROLLOUT.c.tenant_id == sa.bindparam("tenant"),
        ROLLOUT.c.state.in_((RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.FINISHED)),
        ROLLOUT.c.rolls_back.is_(None),
    )
    .group_by(RELEASE.c.name)
)
RESUMING = "; a resume by "
"""In the reason of a rollout that is being resumed just now, or whose resuming was interrupted."""
# Those that are being started say so in their reason, too.
_STARTING = sa.select(ROLLOUT.c.id).where(
    ROLLOUT.c.tenant_id == sa.bindparam("tenant"),
    sa.or_(
        sa.and_(ROLLOUT.c.state == RolloutState.READY, ROLLOUT.c.reason != ""),
        sa.and_(
            ROLLOUT.c.state.in_((RolloutState.PAUSED, RolloutState.HALTED)),
            ROLLOUT.c.reason.contains(RESUMING),
        ),
    ),
)
# The groups are named so that the index is searched: years of actions that ended are not looked at.
_AT_WORK = (
    sa.select(ACTION.c.rollout_id)
    .where(
        ACTION.c.rollout_id.in_(sa.select(ROLLOUT.c.id).where(ROLLOUT.c.started.is_not(None))),
        ACTION.c.group_index.in_(range(MAX_GROUPS)),
        ACTION.c.state.in_(sorted(IN_FLIGHT)),
    )
    .distinct()
)
# Of those that are finished, the ones that still have a device to wait for: time changes no other one.
_MOVING = sa.select(ROLLOUT.c.id).where(
    sa.or_(
        ROLLOUT.c.state == RolloutState.RUNNING,
        sa.and_(
            ROLLOUT.c.state == RolloutState.FINISHED,
            sa.exists().where(
                ACTION.c.rollout_id == ROLLOUT.c.id,
                ACTION.c.group_index.in_(range(MAX_GROUPS)),
                ACTION.c.state == "scheduled",
            ),
        ),
    )
)
_MOST_SAMPLES = 1000  # of each side: what they do not show is nothing to halt a rollout for


@dataclasses.dataclass(kw_only=True)
class Standing:
    """A rollout within a transaction: its row's identity, plan and state, and its groups' counts."""

    id: int
    tenant_id: int
    name: str
    release_id: int
    rolls_back: int | None
    rolls_back_group: int | None
    plan: Plan
    rollout: Rollout
    counts: list[Counts]

    @functools.cached_property
    def membership(self) -> Membership:
        """Which group a device belongs to."""
        return Membership(self.plan, str(self.id))


class Standings:
    """The rollouts that a transaction has to do with.

    Args:
        connection: the transaction; one that writes, if `settle` is to be called.
        now: seconds since 1970.
    """

    def __init__(self, connection: sa.Connection, now: float) -> None:
        self.connection = connection
        self.now = now
        self._known: dict[int, Standing] = {}
        self._newest: dict[int, Sequence[int]] = {}
        self._starting: dict[int, Sequence[int]] = {}
        self._releases: dict[int, Any] = {}
        self._changed: set[int] = set()
        self._judged: set[int] = set()

    def of(self, id_: int) -> Standing:
        """How a rollout stands.

        Raises:
            NotFoundError: if there is none.
        """
        known = self._known.get(id_)
        if known is None:
            known = self._known[id_] = _load(self.connection, id_)
        return known

    def of_tenant(self, tenant: int, id_: int) -> Standing:
        """How a tenant's rollout stands.

        Raises:
            NotFoundError: if the tenant has none of that number.
        """
        standing = self.of(id_) if 0 < id_ < 2**31 else None
        if standing is None or standing.tenant_id != tenant:
            raise NotFoundError(f"rollout {id_}: there is none")
        return standing

    def newest(self, tenant: int) -> Sequence[int]:
        """Of each name of releases, a tenant's newest rollout that is not halted or given up."""
        known = self._newest.get(tenant)
        if known is None:
            found = self.connection.scalars(_NEWEST, {"tenant": tenant})
            known = self._newest[tenant] = found.all()
        return known

    def starting(self, tenant: int) -> Sequence[int]:
        """A tenant's rollouts whose start or resuming is under way, in transactions before this one."""
        known = self._starting.get(tenant)
        if known is None:
            found = self.connection.scalars(_STARTING, {"tenant": tenant})
            known = self._starting[tenant] = found.all()
        return known

    def release(self, id_: int) -> Any:
        """The row of a release, which must be there."""
        known = self._releases.get(id_)
        if known is None:
            known = self._releases[id_] = releases.by_id(self.connection, id_)
        return known

    def known(self) -> list[Standing]:
        """All that were asked for, as they stand by now."""
        return list(self._known.values())

    def changed(self, id_: int) -> None:
        """An action of the rollout changed: it is counted anew when it is settled."""
        self._changed.add(id_)

    def judged(self, id_: int) -> None:
        """A device of the rollout was judged by its telemetry: so is the release when it is settled."""
        self._judged.add(id_)
        self._changed.add(id_)

    def room(self, id_: int, index: int) -> int:
        """How many further devices of a group may be shown their action."""
        standing = self.of(id_)
        return engine.allowance(
            standing.plan, standing.rollout, index, standing.counts[index], self.now
        )

    def take_place(self, id_: int, index: int) -> None:
        """One more device of a group was shown its action."""
        counts = self.of(id_).counts
        counts[index] = dataclasses.replace(counts[index], in_flight=counts[index].in_flight + 1)

    def change(self, id_: int, move: Callable[[Standing], Rollout]) -> Standing:
        """Moves a rollout as a person asked for, and settles it.

        Raises:
            RolloutError: if it cannot be moved so.
        """
        standing = self.of(id_)
        before = standing.rollout
        standing.rollout = move(standing)
        self._save(standing, before)
        self._settle(id_)
        return standing

    def settle(self) -> list[Standing]:
        """Lets the engine draw the conclusions from what changed; gives the rollouts concerned."""
        settled = [self._settle(id_) for id_ in sorted(self._changed)]
        self._changed.clear()
        self._judged.clear()
        return settled

    def _settle(self, id_: int) -> Standing:
        standing = self._known.get(id_)
        if standing is None:
            standing = self.of(id_)
        elif standing.rollout.state is not RolloutState.READY:  # which has none that count
            standing.counts = count(self.connection, id_, len(standing.plan.groups))
        before = standing.rollout
        standing.rollout = engine.advance(standing.plan, before, standing.counts, self.now)
        if id_ in self._judged and before.state in LIVE:
            found = quality.compare(standing.plan.quality, samples(self.connection, id_))
            if reason := quality.breach(found):
                standing.rollout = engine.halt(standing.rollout, reason)
        if standing.rollout != before:
            self._save(standing, before)
            self._note(standing, before)
        return standing

    def _save(self, standing: Standing, before: Rollout) -> None:
        after = standing.rollout
        if after == before:
            return
        self._newest.clear()
        self.connection.execute(
            sa.update(Row)
            .where(Row.id == standing.id)
            .values(
                state=str(after.state),
                reason=after.reason,
                groups=[dataclasses.asdict(group) for group in after.groups],
            )
        )

    def _note(self, standing: Standing, before: Rollout) -> None:
        after = standing.rollout
        subject = f"{standing.id} {standing.name}"
        note = (self.connection, self.now, standing.tenant_id, ENGINE)
        for group, old, new in zip(standing.plan.groups, before.groups, after.groups, strict=True):
            if old.begun is None and new.begun is not None:
                audit.note(*note, "group begins", subject, {"group": group.name})
            if old.done is None and new.done is not None:
                audit.note(*note, "group is done", subject, {"group": group.name})
        if after.state is not before.state:
            audit.note(*note, f"rollout {after.state}", subject, {"reason": after.reason})


def count(connection: sa.Connection, rollout: int, groups: int) -> list[Counts]:
    """What the devices of each group have come to, counted from the actions."""
    query = (
        sa.select(Action.group_index, Action.state, sa.func.count(), sa.func.count(Action.offered))
        .where(Action.rollout_id == rollout)
        .group_by(Action.group_index, Action.state)
    )
    found: list[dict[str, int]] = [{} for _ in range(groups)]
    for index, state, devices, offered in connection.execute(query):
        group = found[index]
        group["devices"] = group.get("devices", 0) + devices
        if state in IN_FLIGHT:
            group["in_flight"] = group.get("in_flight", 0) + devices
        elif state == "canceled":
            group |= {"canceled": devices, "canceled_touched": offered}
        elif state != "scheduled":
            group[state] = devices
    return [Counts(**group) for group in found]


def samples(connection: sa.Connection, rollout: int) -> list[quality.Sample]:
    """The devices that a rollout judged by their telemetry, in the order in which it did."""
    found: list[Any] = []
    for arm in quality.Arm:
        query = (
            sa.select(
                Sample.id, Sample.arm, Sample.judged, Sample.change, Sample.values, Sample.slices
            )
            .where(Sample.rollout_id == rollout, Sample.arm == arm, Sample.judged.is_not(None))
            .order_by(Sample.judged, Sample.id)
            .limit(_MOST_SAMPLES)
        )
        found += connection.execute(query)
    found.sort(key=lambda row: (row.judged, row.id))
    return [
        quality.Sample(
            arm=quality.Arm(row.arm), change=row.change, values=row.values, slices=row.slices
        )
        for row in found
    ]


def live(connection: sa.Connection) -> list[int]:
    """The ids of the rollouts that may touch devices."""
    return list(connection.scalars(sa.select(Row.id).where(Row.state.in_(LIVE)).order_by(Row.id)))


def moving(connection: sa.Connection) -> list[int]:
    """The ids of the rollouts that time may change, or that may touch a further device."""
    return list(connection.scalars(_MOVING))


def at_work(connection: sa.Connection) -> list[int]:
    """The ids of the rollouts with actions that devices are at work on; asked every second."""
    return list(connection.scalars(_AT_WORK))


def _load(connection: sa.Connection, id_: int) -> Standing:
    row: Any = connection.execute(sa.select(*Row.__table__.columns).where(Row.id == id_)).first()
    if row is None:
        raise NotFoundError(f"rollout {id_}: there is none")
    plan, state = decode(row.plan), RolloutState(row.state)
    # What a start that was not done yet has made counts for nothing.
    ready = state is RolloutState.READY
    counts = [Counts() for _ in plan.groups] if ready else count(connection, id_, len(plan.groups))
    return Standing(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        release_id=row.release_id,
        rolls_back=row.rolls_back,
        rolls_back_group=row.rolls_back_group,
        plan=plan,
        rollout=Rollout(
            state=state,
            reason=row.reason,
            groups=tuple(GroupState(**group) for group in row.groups),
        ),
        counts=counts,
    )

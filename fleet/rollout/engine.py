"""The rollout as a state machine over what its devices have come to. It holds no counters: it is given
counts that are derived anew from the actions each time, so that a report which comes twice, late, or
out of order cannot make them drift.

    ready -> running <-> paused
                |  \\
                |   \\-> halted -> running (resumed by a person)
                v
             finished              every state but finished -> aborted

1. Groups begin in their order. A group begins when the one before it is done; the first, when the
   rollout runs and its window is open. A group without devices is done at once.
2. Devices are touched only while the rollout runs, within its window, in groups that have begun
   (late joiners also after it finished), and only `allowance` of them: at no time may more devices of a
   group be touched without having succeeded than ``max(exposure, ramp x successes)``. So a release that
   fails everywhere touches `exposure` devices of a group and no more, however fast they poll.
3. A failure is an error or a time-out. A group whose failures exceed ``error_threshold`` of those who
   decided, or of `minimum_sample` (of the group, if it is smaller), whichever is more, halts the rollout
   at once, for every group. Devices that are silent after they were touched count, when they time out.
4. A group is done when at least `minimum_sample` (or all it has) decided, and successes reach
   ``success_threshold`` of the expected. Expected are all its devices; once `patience_s` has passed, only
   those who were touched. Canceled actions are not expected. Not before `bake_s` has passed, though.
5. A group that is not done by rule 4 and has nothing left to wait for halts the rollout: all its devices
   decided, or failures have used up what may be touched without having succeeded.
6. The rollout is finished when all groups are done and no action is in flight, and every device
   was touched or is waited for no longer (patience, or the window, has passed). Rule 3 goes on.
7. A halted rollout touches nobody. A person may resume it: what had failed until then is pardoned, and
   the same number of failures would have to come anew. Paused, it also decides nothing; reports are
   still taken, for they are facts.
8. An aborted rollout withdraws what was not shown and asks the rest to cancel (`fleet.rollout.action`).
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Sequence

from fleet.rollout.errors import RolloutError
from fleet.rollout.plan import Group, Plan


class RolloutState(enum.StrEnum):
    """Where a rollout is."""

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    FINISHED = "finished"
    ABORTED = "aborted"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """How many devices of a group are where.

    Attributes:
        devices: all of them.
        in_flight: shown their action and not decided.
        success: succeeded.
        error: failed.
        timed_out: silent for too long after they were shown their action.
        canceled: whose action was canceled, shown or not.
        canceled_touched: those among them who were shown it.
    """

    devices: int = 0
    in_flight: int = 0
    success: int = 0
    error: int = 0
    timed_out: int = 0
    canceled: int = 0
    canceled_touched: int = 0

    @property
    def touched(self) -> int:
        """Devices that were shown their action."""
        return self.decided + self.in_flight + self.canceled_touched

    @property
    def failed(self) -> int:
        """Errors and time-outs."""
        return self.error + self.timed_out

    @property
    def decided(self) -> int:
        """Devices that succeeded or failed."""
        return self.success + self.failed

    @property
    def untouched(self) -> int:
        """Devices that wait to be shown their action."""
        return self.devices - self.decided - self.in_flight - self.canceled


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupState:
    """Where a group is; moments are seconds since 1970.

    Attributes:
        begun: when it began; None while it did not.
        done: when it was done; None while it is not.
        pardoned: failures that do not count any more, because a person went on in spite of them.
        pardoned_of: devices that had decided then.
    """

    begun: float | None = None
    done: float | None = None
    pardoned: int = 0
    pardoned_of: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rollout:
    """Where a rollout is, and why: `reason` is empty where the state says all."""

    state: RolloutState = RolloutState.READY
    reason: str = ""
    groups: tuple[GroupState, ...]

    @classmethod
    def of(cls, plan: Plan) -> Rollout:
        """A rollout that was not started."""
        return cls(groups=tuple(GroupState() for _ in plan.groups))


def start(rollout: Rollout) -> Rollout:
    """A person starts it.

    Raises:
        RolloutError: if it was started before.
    """
    _expect(rollout, "start", RolloutState.READY)
    return dataclasses.replace(rollout, state=RolloutState.RUNNING, reason="")


def pause(rollout: Rollout, reason: str) -> Rollout:
    """A person holds it.

    Raises:
        RolloutError: if it does not run.
    """
    _expect(rollout, "pause", RolloutState.RUNNING)
    return dataclasses.replace(rollout, state=RolloutState.PAUSED, reason=reason)


def resume(rollout: Rollout, counts: Sequence[Counts]) -> Rollout:
    """A person goes on, in spite of what has failed so far if it was halted (rule 7).

    Raises:
        RolloutError: if it is neither paused nor halted.
    """
    _expect(rollout, "resume", RolloutState.PAUSED, RolloutState.HALTED)
    groups = rollout.groups
    if rollout.state is RolloutState.HALTED:
        groups = tuple(
            dataclasses.replace(group, pardoned=count.failed, pardoned_of=count.decided)
            for group, count in zip(groups, counts, strict=True)
        )
    return Rollout(state=RolloutState.RUNNING, groups=groups)


def halt(rollout: Rollout, reason: str) -> Rollout:
    """Something outside the counts, a gate on telemetry, says that it must not go on.

    A rollout that does not touch devices stays as it is.
    """
    if rollout.state not in (RolloutState.RUNNING, RolloutState.FINISHED):
        return rollout
    return dataclasses.replace(rollout, state=RolloutState.HALTED, reason=reason)


def abort(rollout: Rollout, reason: str) -> Rollout:
    """A person gives it up (rule 8).

    Raises:
        RolloutError: if it is over.
    """
    over = (RolloutState.FINISHED, RolloutState.ABORTED)
    _expect(rollout, "abort", *(state for state in RolloutState if state not in over))
    return dataclasses.replace(rollout, state=RolloutState.ABORTED, reason=reason)


def advance(plan: Plan, rollout: Rollout, counts: Sequence[Counts], now: float) -> Rollout:
    """What follows at the moment `now` from what the devices have come to; nothing, if nothing does.

    Calling it again with the same arguments and its own result changes nothing.

    Args:
        plan: the rollout's.
        rollout: where it is.
        counts: of each group, in their order.
        now: seconds since 1970.
    """
    if rollout.state not in (RolloutState.RUNNING, RolloutState.FINISHED):
        return rollout
    groups = list(rollout.groups)
    for group, state, count in zip(plan.groups, groups, counts, strict=True):
        if reason := _breach(group, state, count):
            return dataclasses.replace(rollout, state=RolloutState.HALTED, reason=reason)
    if rollout.state is RolloutState.FINISHED:
        return rollout
    for index, (group, count) in enumerate(zip(plan.groups, counts, strict=True)):
        if index and groups[index - 1].done is None:
            break
        if groups[index].begun is None and _open(plan, now):
            groups[index] = dataclasses.replace(groups[index], begun=now)
        begun = groups[index].begun
        if begun is None or groups[index].done is not None:
            continue
        verdict = _verdict(plan, group, groups[index], count, now)
        if verdict == _DONE:
            groups[index] = dataclasses.replace(groups[index], done=now)
        elif verdict:
            return Rollout(state=RolloutState.HALTED, reason=verdict, groups=tuple(groups))
    moved = dataclasses.replace(rollout, groups=tuple(groups))
    return _finish(plan, moved, counts, now)


def allowance(plan: Plan, rollout: Rollout, index: int, count: Counts, now: float) -> int:
    """How many further devices of the group `index` may be shown their action at `now` (rule 2)."""
    runs = rollout.state is RolloutState.RUNNING or (
        rollout.state is RolloutState.FINISHED and plan.late_joiners == "take"
    )
    if not runs or rollout.groups[index].begun is None or not _open(plan, now):
        return 0
    return _room(plan.groups[index], rollout.groups[index], count)


_DONE = "done"


def _open(plan: Plan, now: float) -> bool:
    return plan.not_before <= now and not _closed(plan, now)


def _closed(plan: Plan, now: float) -> bool:
    return plan.not_after is not None and plan.not_after < now


def _room(group: Group, state: GroupState, count: Counts) -> int:
    unproven = count.in_flight + max(0, count.failed - state.pardoned)
    room = max(group.exposure, math.floor(group.ramp * count.success)) - unproven
    return max(0, min(room, count.untouched))


def _breach(group: Group, state: GroupState, count: Counts) -> str:
    """Why the group halts the rollout by rule 3; empty if it does not."""
    failed = count.failed - state.pardoned
    decided = count.decided - state.pardoned_of
    against = max(decided, min(group.minimum_sample, count.devices))
    if failed <= group.error_threshold * against:
        return ""
    return (
        f"{group.name}: {failed} of {decided} devices failed ({count.error} errors, "
        f"{count.timed_out} time-outs in all), more than {group.error_threshold:.0%} of {against}"
    )


def _verdict(plan: Plan, group: Group, state: GroupState, count: Counts, now: float) -> str:
    """`_DONE`, why rule 5 halts the rollout, or nothing while the group is waited for."""
    if not count.devices:
        return _DONE
    waits = state.begun is not None and now < state.begun + group.patience_s
    waits = waits and not _closed(plan, now)
    expected = count.devices - count.canceled if waits else count.decided + count.in_flight
    sampled = count.decided >= min(group.minimum_sample, count.devices - count.canceled)
    success = count.success + min(state.pardoned, count.failed)
    if sampled and success >= group.success_threshold * expected:
        baked = state.begun is not None and now >= state.begun + group.bake_s
        return _DONE if baked else ""
    if count.in_flight:
        return ""
    if count.untouched:
        if _room(group, state, count):
            return ""
        return (
            f"{group.name}: {count.failed} devices failed and {count.success} succeeded, so that its "
            f"exposure of {group.exposure} lets no other be touched"
        )
    share = count.success / max(1, count.decided)
    return (
        f"{group.name}: {count.success} of {count.decided} devices succeeded ({share:.0%}), under the "
        f"threshold of {group.success_threshold:.0%}, and no other is left to wait for"
    )


def _finish(plan: Plan, rollout: Rollout, counts: Sequence[Counts], now: float) -> Rollout:
    """Finished, if nothing is to come any more (rule 6)."""
    if any(count.in_flight for count in counts):
        return rollout
    untouched = sum(count.untouched for count in counts)
    if _closed(plan, now):
        reason = f"its window closed with {untouched} devices untouched" if untouched else ""
        return dataclasses.replace(rollout, state=RolloutState.FINISHED, reason=reason)
    for group, state, count in zip(plan.groups, rollout.groups, counts, strict=True):
        if state.begun is None or state.done is None:
            return rollout
        if count.untouched and now < state.begun + group.patience_s:
            return rollout
    reason = f"{untouched} devices did not poll; each gets it when it does" if untouched else ""
    return dataclasses.replace(rollout, state=RolloutState.FINISHED, reason=reason)


def _expect(rollout: Rollout, verb: str, *states: RolloutState) -> None:
    if rollout.state not in states:
        raise RolloutError(
            f"cannot {verb} a rollout that is {rollout.state}: it must be {' or '.join(states)}"
        )

"""An action: that one device is to run one release. What moves it, and what no longer can.

    scheduled -> offered -> running -> success | error | canceled
        |           \\__________\\____-> timed_out -> success | error | canceled
        \\-> canceled

1. A device is *touched* when it is first shown its action; that is never undone.
2. The device's own word decides: ``closed`` with failure is an error, ``closed`` otherwise a success,
   ``canceled`` a cancellation; everything else says that it is at work (hawkBit's DDI v1).
3. An action that is open too long after it was shown times out. The device's word, late as it is,
   still counts afterwards, because it says what the device now runs.
4. Success, error and canceled are final: a duplicate or a contradiction changes nothing.
5. Reports that come out of order change nothing but the final one: at work is at work.
6. A cancellation is asked for, and is the device's to grant: until it answers, the action is open, and
   one that succeeds all the same has succeeded. An action never shown is canceled at once.
"""

from __future__ import annotations

import dataclasses
import enum

from fleet.rollout.errors import ActionClosedError, ActionUnknownError


class ActionState(enum.StrEnum):
    """Where an action is."""

    SCHEDULED = "scheduled"
    OFFERED = "offered"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"


IN_FLIGHT = frozenset({ActionState.OFFERED, ActionState.RUNNING})
FINAL = frozenset({ActionState.SUCCESS, ActionState.ERROR, ActionState.CANCELED})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a device says of an action.

    Attributes:
        execution: ``closed``, ``proceeding``, ``canceled``, ``rejected``, ``download``, ...
        finished: ``success``, ``failure`` or ``none``.
    """

    execution: str
    finished: str = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """An action as it stands; moments are seconds since 1970.

    Attributes:
        state: where it is.
        offered: when it was first shown to the device; None while it was not.
        ended: when it came into the state that it ended in; None while it is open.
        cancel_asked: whether the device is to be asked to cancel it.
    """

    state: ActionState = ActionState.SCHEDULED
    offered: float | None = None
    ended: float | None = None
    cancel_asked: bool = False


def offer(action: Action, now: float) -> Action:
    """The device is shown the action (rule 1)."""
    if action.state is not ActionState.SCHEDULED:
        return action
    return dataclasses.replace(action, state=ActionState.OFFERED, offered=now)


def report(action: Action, said: Report, now: float) -> Action:
    """The device reports of the deployment.

    Raises:
        ActionUnknownError: if it was never shown the action.
        ActionClosedError: if the action is final (rule 4).
    """
    _check_open(action)
    match said:
        case Report(execution="closed", finished="failure"):
            return _end(action, ActionState.ERROR, now)
        case Report(execution="closed"):
            return _end(action, ActionState.SUCCESS, now)
        case Report(execution="canceled"):
            return _end(action, ActionState.CANCELED, now)
    if action.state is ActionState.TIMED_OUT:
        return action
    return dataclasses.replace(action, state=ActionState.RUNNING)


def report_cancel(action: Action, said: Report, now: float) -> Action:
    """The device answers that it was asked to cancel.

    ``closed`` with failure is an error and ``closed`` otherwise the cancellation; ``rejected`` takes the
    question back, and the action goes on; the rest says that it is at work on it.

    Raises:
        ActionUnknownError: if it was not asked.
        ActionClosedError: if the action is final.
    """
    _check_open(action)
    if not action.cancel_asked:
        raise ActionUnknownError("the device was not asked to cancel this action")
    match said:
        case Report(execution="closed", finished="failure"):
            return _end(action, ActionState.ERROR, now)
        case Report(execution="closed"):
            return _end(action, ActionState.CANCELED, now)
        case Report(execution="rejected"):
            return dataclasses.replace(action, cancel_asked=False)
    return action


def ask_cancel(action: Action, now: float) -> Action:
    """An operator withdraws the action (rule 6)."""
    if action.state is ActionState.SCHEDULED:
        return _end(action, ActionState.CANCELED, now)
    if action.state in IN_FLIGHT:
        return dataclasses.replace(action, cancel_asked=True)
    return action


def expire(action: Action, now: float, time_out_s: float) -> Action:
    """Times out, if it is open for too long (rule 3)."""
    if action.state not in IN_FLIGHT or action.offered is None:
        return action
    if now < action.offered + time_out_s:
        return action
    return _end(action, ActionState.TIMED_OUT, now)


def _end(action: Action, state: ActionState, now: float) -> Action:
    return dataclasses.replace(action, state=state, ended=now, cancel_asked=False)


def _check_open(action: Action) -> None:
    if action.state in FINAL:
        raise ActionClosedError(f"the action has ended: {action.state}")
    if action.offered is None:
        raise ActionUnknownError("the device was not shown this action")

"""What happens between one device and the fleet: it is shown an action, reports of it, consents, cancels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control.standing import Standings
from fleet.rollout import action as machine
from fleet.rollout.action import IN_FLIGHT, Action, ActionState, Report
from fleet.rollout.errors import ActionUnknownError
from fleet.store.schema import ACTION, DEVICE, REPORT, Device
from fleet.store.schema import Action as Row

MAX_REPORTS = 200
"""Reports kept of an action; of more, only those that change its state."""
_UNDECIDED = (
    sa.select(ACTION.c.id, ACTION.c.state, ACTION.c.rollout_id, ACTION.c.group_index)
    .where(
        ACTION.c.device_id == sa.bindparam("device"),
        ACTION.c.state.in_(("scheduled", "offered", "running")),
    )
    .order_by(ACTION.c.id)
)
_MINE = sa.select(ACTION).where(
    ACTION.c.id == sa.bindparam("action"), ACTION.c.device_id == sa.bindparam("device")
)
_UPDATE = sa.update(ACTION).where(ACTION.c.id == sa.bindparam("action"))
_INSTALLED = sa.update(DEVICE).where(DEVICE.c.id == sa.bindparam("device"))
_KEPT = (
    sa.select(REPORT.c.kind, REPORT.c.execution, REPORT.c.finished, REPORT.c.code, REPORT.c.details)
    .where(REPORT.c.action_id == sa.bindparam("action"))
    .order_by(REPORT.c.id.desc())
    .limit(MAX_REPORTS)
)
_KEEP = sa.insert(REPORT)


def offer(standings: Standings, device: int, confirmation: bool) -> None:
    """Shows the device its next action, if its rollout has room for it now.

    Args:
        standings: of the transaction.
        device: its id.
        confirmation: whether it must consent first; one that always does has consented.
    """
    connection = standings.connection
    mine = connection.execute(_UNDECIDED, {"device": device}).all()
    if any(row.state in IN_FLIGHT for row in mine):
        return
    for row in mine:
        if standings.room(row.rollout_id, row.group_index):
            shown = machine.offer(Action(), standings.now)
            confirmed = None
            if confirmation:
                always = sa.select(Device.auto_confirm).where(Device.id == device)
                confirmed = connection.scalar(always) is not None or False
            _save(connection, row.id, shown, confirmed=confirmed)
            standings.take_place(row.rollout_id, row.group_index)
            return


def report(
    standings: Standings,
    device: int,
    action: int,
    said: Report,
    code: int | None,
    details: Sequence[str],
) -> None:
    """Takes what a device says of its deployment.

    Raises:
        ActionUnknownError: if the device has no such action, or was not shown it yet.
        ActionClosedError: if it has ended.
    """
    row = _row(standings.connection, device, action)
    if row.confirmed is False:
        raise ActionUnknownError("the action awaits the device's consent")
    _move(standings, row, machine.report(_action(row), said, standings.now), said.execution)
    _keep(standings, row, "deployment", said, code, details)


def report_cancel(
    standings: Standings,
    device: int,
    action: int,
    said: Report,
    code: int | None,
    details: Sequence[str],
) -> None:
    """Takes what a device says to being asked to cancel.

    Raises:
        ActionUnknownError: if the device was not asked.
        ActionClosedError: if the action has ended.
    """
    row = _row(standings.connection, device, action)
    _move(standings, row, machine.report_cancel(_action(row), said, standings.now), said.execution)
    _keep(standings, row, "cancel", said, code, details)


def confirm(
    standings: Standings,
    device: int,
    action: int,
    confirmation: str,
    code: int | None,
    details: Sequence[str],
) -> None:
    """The device consents (``confirmed``), or does not (``denied``), and may be asked again.

    Raises:
        ActionUnknownError: if its consent is not awaited.
    """
    row = _row(standings.connection, device, action)
    if row.confirmed is not False or row.state not in IN_FLIGHT:
        raise ActionUnknownError("the device's consent is not awaited")
    if confirmation == "confirmed":
        standings.connection.execute(sa.update(Row).where(Row.id == action).values(confirmed=True))
    _keep(standings, row, "confirmation", Report(execution=confirmation), code, details)


def auto_confirm(standings: Standings, device: int, initiator: str | None) -> None:
    """The device consents to all that comes, and to what it is asked now; None takes that back."""
    connection = standings.connection
    connection.execute(sa.update(Device).where(Device.id == device).values(auto_confirm=initiator))
    if initiator is not None:
        connection.execute(
            sa.update(Row)
            .where(Row.device_id == device, Row.confirmed.is_(False))
            .values(confirmed=True)
        )


def _row(connection: sa.Connection, device: int, action: int) -> Any:
    row = None
    if 0 < action < 2**31:
        row = connection.execute(_MINE, {"action": action, "device": device}).first()
    if row is None:
        raise ActionUnknownError("the device has no such action")
    return row


def _action(row: Any) -> Action:
    return Action(
        state=ActionState(row.state),
        offered=row.offered,
        ended=row.ended,
        cancel_asked=row.cancel_asked,
    )


def _move(standings: Standings, row: Any, moved: Action, execution: str) -> None:
    connection = standings.connection
    if moved != _action(row) or execution != row.execution:
        _save(connection, row.id, moved, execution=execution)
    if moved.state == row.state:
        return
    if moved.state is ActionState.SUCCESS:
        installed = {"installed_id": row.release_id, "installed_action_id": row.id}
        connection.execute(_INSTALLED, {"device": row.device_id, **installed})
    if moved.ended is not None:
        standings.changed(row.rollout_id)


def _save(connection: sa.Connection, id_: int, action: Action, **more: Any) -> None:
    values = {
        "state": str(action.state),
        "offered": action.offered,
        "ended": action.ended,
        "cancel_asked": action.cancel_asked,
    }
    connection.execute(_UPDATE, {"action": id_, **values, **more})


def _keep(
    standings: Standings,
    row: Any,
    kind: str,
    said: Report,
    code: int | None,
    details: Sequence[str],
) -> None:
    """Adds to the history: a repetition of the last report is left out, and so are too many."""
    connection = standings.connection
    kept = connection.execute(_KEPT, {"action": row.id}).all()
    new = (kind, said.execution, said.finished, code, list(details))
    if (kept and tuple(kept[0]) == new) or (
        len(kept) == MAX_REPORTS and said.execution not in ("closed", "canceled")
    ):
        return
    connection.execute(
        _KEEP,
        {
            "action_id": row.id,
            "kind": kind,
            "received": standings.now,
            "execution": said.execution,
            "finished": said.finished,
            "code": code,
            "details": list(details),
        },
    )

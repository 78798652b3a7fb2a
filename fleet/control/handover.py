"""A device that is lost, and one that takes the place of another under the same id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from fleet.control import audit, devices
from fleet.control.enrolment import REPLACED
from fleet.control.standing import Standings
from fleet.control.tokens import REVOKED, hash_token, new_token
from fleet.rollout.engine import RolloutState
from fleet.store.schema import Action, Device, LastPoll, Report, Rollout, Telemetry

_UNDECIDED = ("scheduled", "offered", "running")
_LAST_WORD = {
    "kind": "handover",
    "execution": REPLACED,
    "finished": "none",
    "code": None,
    "details": ["other hardware took over the id"],
}


def revoke(standings: Standings, tenant: int, who: str, name: str) -> None:
    """Lets nobody in under the device's id any more, by whatever token, and no rollout wait for it.

    Its history stays. `replace`, or a new token of its own (`devices.renew_token`), opens the id again.

    Raises:
        NotFoundError: if there is no such device.
    """
    connection = standings.connection
    device = devices.find(connection, tenant, name)
    _withdraw(standings, device.id, _UNDECIDED)
    _change(connection, device.id, token_hash=REVOKED, auto_confirm=None)
    audit.note(connection, standings.now, tenant, who, "device revoke", name)


def replace(standings: Standings, tenant: int, who: str, name: str) -> str:
    """Other hardware takes over the id and its history; gives its token, which nothing gives again.

    What the former one was and ran is forgotten, and so are its tokens. As soon as the new one has said
    what it is, the rollouts that take late joiners give it their release, in the device's former groups
    or those that its attributes put it in.

    Raises:
        NotFoundError: if there is no such device.
    """
    connection, token = standings.connection, new_token()
    device = devices.find(connection, tenant, name)
    # One that timed out may be shown on, but to the hardware that was shown it.
    _withdraw(standings, device.id, (*_UNDECIDED, "timed_out"))
    marked = connection.scalars(
        sa.update(Action)
        .where(Action.device_id == device.id, Action.superseded.is_(False))
        .values(execution=REPLACED)
        .returning(Action.id)
    ).all()
    for action in marked:
        connection.execute(
            sa.insert(Report).values(**_LAST_WORD, action_id=action, received=standings.now)
        )
    _change(
        connection,
        device.id,
        token_hash=hash_token(token),
        attributes={},
        asked=True,
        auto_confirm=None,
        installed_id=None,
        installed_action_id=None,
    )
    connection.execute(sa.delete(LastPoll).where(LastPoll.device_id == device.id))
    # The new one counts its reports anew, and may have no clock to count on from.
    heard = sa.update(Telemetry).where(Telemetry.device_id == device.id)
    connection.execute(heard.values(sequence=-1))
    audit.note(connection, standings.now, tenant, who, "device replace", name)
    return token


def _withdraw(standings: Standings, device: int, states: Sequence[str]) -> None:
    """Ends the device's actions in these states: it cannot end them any more.

    Those of rollouts that start just now are as if they had not been made: the start takes in whom it
    finds without one.
    """
    ready = sa.select(Rollout.id).where(Rollout.state == RolloutState.READY)
    starting = (Action.device_id == device, Action.rollout_id.in_(ready))
    standings.connection.execute(sa.delete(Action).where(*starting))
    mine = sa.and_(Action.device_id == device, Action.state.in_(states))
    ended = sa.update(Action).where(mine).values(
        state="canceled", ended=standings.now, cancel_asked=False
    )  # fmt: skip
    for rollout in standings.connection.scalars(ended.returning(Action.rollout_id)).all():
        standings.changed(rollout)


def _change(connection: sa.Connection, device: int, **values: Any) -> None:
    connection.execute(sa.update(Device).where(Device.id == device).values(**values))

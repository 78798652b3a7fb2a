"""Where devices may be touched just now, as far as this process knows: what polls ask before they write.

It is a hint, up to a second old: a device that is turned away by it asks again at its next poll, and one
that is let through is checked by the transaction that would touch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fleet.control.standing import LIVE, Standing
from fleet.rollout import engine
from fleet.server.lookup import OpenAction


class Shown(NamedTuple):
    """What a poll leads to: the resource, and the action."""

    resource: str
    action: OpenAction


class Rooms:
    """The rollouts that may touch devices."""

    def __init__(self) -> None:
        self._room: dict[int, tuple[int, ...]] = {}

    def take(self, standings: Sequence[Standing], now: float) -> None:
        """Learns how these rollouts stand."""
        for standing in standings:
            if standing.rollout.state not in LIVE:
                self._room.pop(standing.id, None)
                continue
            self._room[standing.id] = tuple(
                engine.allowance(standing.plan, standing.rollout, index, count, now)
                for index, count in enumerate(standing.counts)
            )

    def know(self, live: Sequence[int]) -> None:
        """Learns which rollouts are live: others were ended by another process; new ones have no room yet."""
        for id_ in set(self._room) - set(live):
            self._room.pop(id_, None)
        for id_ in live:
            self._room.setdefault(id_, ())

    def show(self, actions: Sequence[OpenAction]) -> Shown | None:
        """What a device with these open actions is shown.

        An action at work comes first, asked to be canceled or not; then one that timed out, and is still
        what the device should do.
        """
        for action in actions:
            if action.state in ("offered", "running"):
                if action.cancel_asked:
                    return Shown("cancelAction", action)
                if action.confirmed is not None and not action.confirmed:
                    return Shown("confirmationBase", action)
                return Shown("deploymentBase", action)
        for action in reversed(actions):
            if (
                action.state == "timed_out"
                and not action.superseded
                and action.rollout_id in self._room
            ):
                return Shown("deploymentBase", action)
        return None

    def may_begin(self, actions: Sequence[OpenAction]) -> bool:
        """Whether it is worth asking for one of these actions to be shown."""
        return all(a.state not in ("offered", "running") for a in actions) and any(
            a.state == "scheduled"
            and self._room.get(a.rollout_id, ())[a.group_index : a.group_index + 1] > (0,)
            for a in actions
        )

"""What starting a rollout takes, in pieces, so that devices that wait for the writer wait for one of them."""

from __future__ import annotations

import functools

from fleet.control import rollouts
from fleet.control.rollouts import Preparation, Stage
from fleet.server.fleet_state import FleetState


async def prepare_start(state: FleetState, tenant: int, who: str, rollout: int) -> Preparation:
    """Prepares `fleet.control.rollouts.start`, to which little is left then; gives what that takes.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it cannot be started.
    """
    reached = Preparation()
    while reached.stage is not Stage.DONE:
        piece = functools.partial(
            rollouts.prepare, tenant=tenant, who=who, id_=rollout, reached=reached
        )
        reached = await state.writer.do_alone(piece)
    return reached

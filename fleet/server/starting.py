"""What starting and resuming a rollout takes, in pieces: who waits for the writer waits for one of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fleet.control import preparation
from fleet.control.preparation import Preparation, Stage
from fleet.control.standing import Standings
from fleet.server.fleet_state import FleetState

Prepare = Callable[[Standings, int, str, int, Preparation], Preparation]


async def prepare_start(state: FleetState, tenant: int, who: str, rollout: int) -> Preparation:
    """Prepares `fleet.control.rollouts.start`, to which little is left then; gives what that takes.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it cannot be started.
    """
    return await _in_pieces(state, preparation.prepare_start, tenant, who, rollout)


async def prepare_resume(state: FleetState, tenant: int, who: str, rollout: int) -> Preparation:
    """Prepares `fleet.control.rollouts.resume`, to which little is left then; gives what that takes.

    Raises:
        NotFoundError: if the tenant has no such rollout.
        RolloutError: if it cannot be resumed.
    """
    return await _in_pieces(state, preparation.prepare_resume, tenant, who, rollout)


async def _in_pieces(
    state: FleetState, prepare: Prepare, tenant: int, who: str, rollout: int
) -> Preparation:
    reached = Preparation()
    while reached.stage is not Stage.DONE:
        piece = functools.partial(_piece, prepare, tenant, who, rollout, reached)
        reached = await state.writer.do_alone(piece)
    return reached


def _piece(
    prepare: Prepare,
    tenant: int,
    who: str,
    rollout: int,
    reached: Preparation,
    standings: Standings,
) -> Preparation:
    return prepare(standings, tenant, who, rollout, reached)

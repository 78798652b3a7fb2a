"""How a rollout went in time: of how many devices it was true by when that they were touched, or decided."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import sqlalchemy as sa

from fleet.store.schema import ACTION

_POINTS = 60
_FAILED = ("error", "timed_out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """Devices by time.

    Attributes:
        begin: the moment of the first action that was shown, seconds since 1970.
        end: the moment of the last thing that happened.
        touched: devices that had been shown their action, at equally many moments from `begin` to `end`.
        success: of them succeeded.
        failed: of them failed or timed out.
    """

    begin: float
    end: float
    touched: tuple[int, ...]
    success: tuple[int, ...]
    failed: tuple[int, ...]


def curve(connection: sa.Connection, rollout: int) -> Curve | None:
    """The curve of a rollout; None if it touched nobody, or all at one moment."""
    mine = (ACTION.c.rollout_id == rollout, ACTION.c.offered.is_not(None))
    begin, shown, ended = connection.execute(
        sa.select(
            sa.func.min(ACTION.c.offered),
            sa.func.max(ACTION.c.offered),
            sa.func.max(ACTION.c.ended),
        ).where(*mine)
    ).one()
    end = max(shown or 0.0, ended or 0.0)
    if begin is None or end <= begin:
        return None

    def counted(moment: sa.Column[float], *states: str) -> tuple[int, ...]:
        place = sa.cast((moment - begin) * ((_POINTS - 1) / (end - begin)), sa.Integer)
        query = sa.select(place, sa.func.count()).where(*mine, moment.is_not(None)).group_by(place)
        if states:
            query = query.where(ACTION.c.state.in_(states))
        found: Mapping[int, int] = {row[0]: row[1] for row in connection.execute(query)}
        return tuple(itertools.accumulate(found.get(point, 0) for point in range(_POINTS)))

    return Curve(
        begin=begin,
        end=end,
        touched=counted(ACTION.c.offered),
        success=counted(ACTION.c.ended, "success"),
        failed=counted(ACTION.c.ended, *_FAILED),
    )

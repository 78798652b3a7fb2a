"""The lineage of an artifact: what it was made from, and what was made from it.

`pipeline.lineage.walk` finds all of it, by the execution; these walks are by the artifact, nearest first,
and end after so many. What counts as ancestry is the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from pipeline.lineage.schema import Artifact, Event
from pipeline.lineage.walk import HISTORY
from pipeline.web.queries.artifacts import Stored, artifacts, first_makers

MOST = 200
_DEEPEST = 64
_MOST_EVENTS = 5000

_Edges = set[tuple[int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Walk:
    """What a walk from an artifact found.

    Attributes:
        found: (distance, artifact), nearest first, without the start.
        edges: (artifact, artifact made from it), between those found and the start.
        more: whether there is more than it was allowed to find.
    """

    found: tuple[tuple[int, Stored], ...]
    edges: frozenset[tuple[int, int]]
    more: bool


def ancestors(session: Session, start: int) -> Walk:
    """What artifact `start` was made from, at most the nearest 200 artifacts."""

    def above(frontier: Sequence[int]) -> _Edges:
        makers = first_makers(session, frontier)
        by_execution: dict[int, list[int]] = {}
        for artifact, maker in makers.items():
            by_execution.setdefault(maker.id, []).append(artifact)
        taken = _events(session, Event.execution_id.in_(list(by_execution)), "input")
        return {(above, below) for e, above in taken for below in by_execution[e]}

    return _walk(session, start, above, lambda edge: edge[0])


def descendants(session: Session, start: int) -> Walk:
    """What was made from artifact `start`, at most the nearest 200 artifacts."""

    def below(frontier: Sequence[int]) -> _Edges:
        takers = _events(session, Event.artifact_id.in_(list(frontier)), "input")
        by_execution: dict[int, list[int]] = {}
        for execution, artifact in takers:
            by_execution.setdefault(execution, []).append(artifact)
        made = _events(session, Event.execution_id.in_(list(by_execution)), "output")
        return {(above, below) for e, below in made for above in by_execution[e]}

    return _walk(session, start, below, lambda edge: edge[1])


def _walk(
    session: Session,
    start: int,
    step: Callable[[Sequence[int]], _Edges],
    end: Callable[[tuple[int, int]], int],
) -> Walk:
    distance = {start: 0}
    edges: _Edges = set()
    frontier = [start]
    more = False
    for depth in range(1, _DEEPEST + 1):
        found = step(frontier)
        fresh = sorted({end(edge) for edge in found} - distance.keys())
        room = MOST + 1 - len(distance)
        more = more or len(fresh) > room
        frontier = fresh[:room]
        distance |= dict.fromkeys(frontier, depth)
        edges |= {edge for edge in found if edge[0] in distance and edge[1] in distance}
        if not frontier or more:
            break
    else:
        more = True
    rows = _rows(session, [id_ for id_ in distance if id_ != start])
    ordered = sorted((distance[id_], id_) for id_ in rows)
    return Walk(
        found=tuple((depth, rows[id_]) for depth, id_ in ordered),
        edges=frozenset(edges),
        more=more,
    )


def _events(session: Session, which: ColumnElement[bool], direction: str) -> list[tuple[int, int]]:
    """(execution, artifact) of events; inputs that are history are not among them."""
    query = (
        select(Event.execution_id, Event.artifact_id)
        .where(which, Event.direction == direction)
        .order_by(Event.id)
        .limit(_MOST_EVENTS)
    )
    if direction == "input":
        query = query.where(Event.name.not_in(HISTORY))
    return [(row.execution_id, row.artifact_id) for row in session.execute(query)]


def _rows(session: Session, ids: list[int]) -> Mapping[int, Stored]:
    found = session.execute(artifacts().where(Artifact.id.in_(ids)))
    return {row.id: Stored(**row._mapping) for row in found}

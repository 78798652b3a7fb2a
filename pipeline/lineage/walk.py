"""Walks along the events: from artifacts back to what they follow from, and forward to what follows.

Two things are not ancestry. A cached execution made nothing: an artifact follows from the execution
that made it. And what an execution takes of the past, to compare itself with it or to spare work
(`HISTORY`), decides a gate at most and never the content of what it makes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from components.base import PREVIOUS
from pipeline.lineage.schema import (
    Artifact,
    ArtifactShard,
    Event,
    Execution,
    Recording,
    Shard,
    ShardRecording,
)

_BATCH = 1000  # SQLite takes 32,766 values in a statement
HISTORY = ("last_release", PREVIOUS, "previous_statistics", "schema")


def ancestry(session: Session, artifacts: Collection[int]) -> list[Execution]:
    """The executions that `artifacts` follow from, in the order in which they began."""
    ids = _ancestors(artifacts)
    return list(
        session.scalars(select(Execution).where(Execution.id.in_(ids)).order_by(Execution.id))
    )


def ancestor_ids(session: Session, artifacts: Collection[int]) -> set[int]:
    """Ids of the executions that `artifacts`, however many, follow from."""
    ordered = sorted(artifacts)
    batches = (ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH))
    return {id_ for batch in batches for id_ in session.scalars(_ancestors(batch))}


def taken_by(session: Session, executions: Iterable[Execution]) -> set[int]:
    """Ids of the artifacts that `executions` took and that their outputs follow from."""
    ids = [execution.id for execution in executions]
    taken = (Event.execution_id.in_(ids), _follows_from(Event))
    return set(session.scalars(select(Event.artifact_id).where(*taken)))


def descendants(session: Session, start: Select[int]) -> list[tuple[Artifact, int | None]]:
    """The artifacts that `start` selects by id and all that follow from them, in order of their ids.

    With each, the run that made it; None for one that was there before.
    """
    down = start.cte("down", recursive=True)
    (first,) = down.c
    taken, made = aliased(Event), aliased(Event)
    further = (
        select(made.artifact_id)
        .select_from(down)
        .join(taken, and_(taken.artifact_id == first, _follows_from(taken)))
        .join(made, and_(made.execution_id == taken.execution_id, made.direction == "output"))
    )
    (found,) = down.union(further).c
    run = (
        select(Execution.context_id)
        .join(Event, Event.execution_id == Execution.id)
        .where(
            Event.artifact_id == Artifact.id,
            Event.direction == "output",
            Execution.state == "complete",
        )
        .limit(1)
        .scalar_subquery()
    )
    chosen = select(Artifact, run).where(Artifact.id.in_(select(found))).order_by(Artifact.id)
    return [(artifact, number) for artifact, number in session.execute(chosen)]


def holders(recordings: ColumnElement[bool]) -> Select[int]:
    """Ids of the artifacts that hold a recording of which `recordings` is true."""
    return (
        select(ArtifactShard.artifact_id)
        .join(ShardRecording, ShardRecording.shard_id == ArtifactShard.shard_id)
        .join(Recording, Recording.id == ShardRecording.recording_id)
        .where(recordings)
    )


def recordings_in(session: Session, artifacts: Collection[int]) -> int:
    """How many recordings `artifacts` hold; one that several of them hold counts once."""
    holding = select(func.count(func.distinct(ArtifactShard.artifact_id))).where(
        ArtifactShard.artifact_id.in_(artifacts)
    )
    if session.scalars(holding).one() > 1:
        count = func.count(func.distinct(ShardRecording.recording_id))
        query = select(count).where(ShardRecording.shard_id.in_(_shards_of(artifacts)))
    else:  # nothing is in two shards of one artifact, and to count 100,000 takes a tenth of a second
        query = (
            select(func.coalesce(func.sum(Shard.recordings), 0))
            .join(ArtifactShard, ArtifactShard.shard_id == Shard.id)
            .where(ArtifactShard.artifact_id.in_(artifacts))
        )
    return session.scalars(query).one()


def list_recordings(session: Session, artifacts: Collection[int]) -> list[Recording]:
    """The recordings that `artifacts` hold, by path."""
    held = select(ShardRecording.recording_id).where(
        ShardRecording.shard_id.in_(_shards_of(artifacts))
    )
    query = select(Recording).where(Recording.id.in_(held)).order_by(Recording.path, Recording.id)
    return list(session.scalars(query))


def _shards_of(artifacts: Collection[int]) -> Select[int]:
    return select(ArtifactShard.shard_id).where(ArtifactShard.artifact_id.in_(artifacts))


def _follows_from(event: Any) -> ColumnElement[bool]:
    return and_(event.direction == "input", event.name.not_in(HISTORY))


def _ancestors(artifacts: Collection[int]) -> Select[int]:
    start = (
        select(Event.execution_id)
        .join(Execution, Execution.id == Event.execution_id)
        .where(
            Event.artifact_id.in_(artifacts),
            Event.direction == "output",
            Execution.state == "complete",
        )
    )
    up = start.cte("up", recursive=True)
    taken, made = aliased(Event), aliased(Event)
    further = (
        select(made.execution_id)
        .select_from(up)
        .join(taken, and_(taken.execution_id == up.c.execution_id, _follows_from(taken)))
        .join(made, and_(made.artifact_id == taken.artifact_id, made.direction == "output"))
        .join(Execution, Execution.id == made.execution_id)
        .where(Execution.state == "complete")
    )
    return select(up.union(further).c.execution_id)

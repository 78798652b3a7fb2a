"""Questions about executions: the steps of a run, and one of them with what it took and made."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pipeline.lineage.schema import Artifact, Event, Execution
from pipeline.web.queries.metrics import named

MOST_STEPS = 200
MOST_EVENTS = 2000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One execution; times are UTC.

    Attributes:
        id: its number.
        run: the number of its run.
        component: id of the component in the recipe.
        type: the component's class.
        state: running, complete, cached (it was there already), failed or interrupted.
        original: number of the execution whose outputs were taken, if it is a hit.
        cache_key: digest of all that decides its outputs, hex.
        metrics: by name.
        started: when.
        finished: when; None while it runs, and for one that was killed.
    """

    id: int
    run: int
    component: str
    type: str
    state: str
    original: int | None
    cache_key: str
    metrics: Mapping[str, float]
    started: datetime.datetime
    finished: datetime.datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took; None if it has not finished."""
        return None if self.finished is None else (self.finished - self.started).total_seconds()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Link:
    """An execution took or made an artifact.

    Attributes:
        execution: number of the execution.
        artifact: number of the artifact.
        direction: which of both.
        name: as what.
        type: the artifact's type.
        uri: the artifact's folder.
        digest: of the folder's content, hex.
    """

    execution: int
    artifact: int
    direction: Literal["input", "output"]
    name: str
    type: str
    uri: str
    digest: str


def find_step(session: Session, id_: int) -> Step | None:
    """Execution number `id_`."""
    row = session.execute(_steps().where(Execution.id == id_)).first()
    return None if row is None else _step(row)


def decided_by(session: Session, id_: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The parameters of execution number `id_`, and what its cache key was computed from."""
    query = select(Execution.parameters, Execution.key_parts).where(Execution.id == id_)
    row = session.execute(query).first()
    parameters, parts = ({}, {}) if row is None else row
    return (
        parameters if isinstance(parameters, dict) else {},
        parts if isinstance(parts, dict) else {},
    )


def steps_of(session: Session, run: int) -> list[Step]:
    """The steps of a run in the order in which they began, at most the first 200."""
    query = _steps().where(Execution.context_id == run).order_by(Execution.id).limit(MOST_STEPS)
    return [_step(row) for row in session.execute(query)]


def links_of(session: Session, executions: list[int]) -> list[Link]:
    """What executions took and made, at most the first 2000."""
    query = (
        select(
            Event.execution_id.label("execution"),
            Event.artifact_id.label("artifact"),
            Event.direction,
            Event.name,
            Artifact.type,
            Artifact.uri,
            Artifact.digest,
        )
        .join(Artifact, Event.artifact_id == Artifact.id)
        .where(Event.execution_id.in_(executions))
        .order_by(Event.id)
        .limit(MOST_EVENTS)
    )
    return [Link(**row._mapping) for row in session.execute(query)]


def _steps() -> Select[*tuple[Any, ...]]:
    return select(
        Execution.id,
        Execution.context_id.label("run"),
        Execution.component,
        Execution.type,
        Execution.state,
        Execution.original_id.label("original"),
        Execution.cache_key,
        Execution.metrics,
        Execution.started,
        Execution.finished,
    )


def _step(row: Any) -> Step:
    return Step(**{**row._mapping, "metrics": named(row.metrics)})

"""Questions about artifacts: a list of them, and one with who made and took it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from pipeline.lineage.schema import Artifact, Event, Execution
from pipeline.web.queries.paging import Page, Window, page_of

_MOST_TYPES = 50
MOST_USES = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """One artifact.

    Attributes:
        id: its number.
        type: its type.
        uri: its folder.
        digest: of the folder's content, hex.
        created: when it was recorded, UTC.
    """

    id: int
    type: str
    uri: str
    digest: str
    created: datetime.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Use:
    """An execution that took or made an artifact.

    Attributes:
        id: number of the execution.
        component: id of the component in the recipe.
        run: number of the run.
        name: as what it took or made it.
    """

    id: int
    component: str
    run: int
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredSummary:
    """An artifact in a list.

    Attributes:
        artifact: the artifact.
        maker: who made it first; None if it came from outside.
        uses: how often it was taken.
    """

    artifact: Stored
    maker: Use | None
    uses: int


def find_artifact(session: Session, id_: int) -> Stored | None:
    """Artifact number `id_`."""
    row = session.execute(artifacts().where(Artifact.id == id_)).first()
    return None if row is None else Stored(**row._mapping)


def list_artifacts(
    session: Session, window: Window, type_: str | None = None, digest: str | None = None
) -> Page[StoredSummary]:
    """Artifacts, newest first, all or those of a type or with a digest that begins so."""
    query = artifacts()
    if type_ is not None:
        query = query.where(Artifact.type == type_)
    if digest is not None:
        # A range over hex digits, which the index on the digest serves in every database.
        query = query.where(Artifact.digest >= digest, Artifact.digest < digest + "g")
    page = page_of(session, query, Artifact.id, window)
    found = [Stored(**row._mapping) for row in page.items]
    ids = [artifact.id for artifact in found]
    makers, uses = first_makers(session, ids), _count_uses(session, ids)
    items = tuple(
        StoredSummary(artifact=a, maker=makers.get(a.id), uses=uses.get(a.id, 0)) for a in found
    )
    return dataclasses.replace(page, items=items)


def known_types(session: Session) -> list[str]:
    """The types of which there are artifacts, at most the first 50 by name."""
    found: list[str] = []
    # A step over the index a type: `distinct` would read the whole index.
    next_ = session.scalar(select(func.min(Artifact.type)))
    while next_ is not None and len(found) < _MOST_TYPES:
        found.append(next_)
        next_ = session.scalar(select(func.min(Artifact.type)).where(Artifact.type > next_))
    return found


def first_makers(session: Session, ids: Iterable[int]) -> Mapping[int, Use]:
    """Who made each of the artifacts first; those from outside are not in it."""
    first = (
        select(Event.artifact_id, func.min(Event.id).label("event"))
        .where(Event.artifact_id.in_(list(ids)), Event.direction == "output")
        .group_by(Event.artifact_id)
        .subquery()
    )
    query = (
        select(
            first.c.artifact_id.label("artifact"),
            Execution.id,
            Execution.component,
            Execution.context_id.label("run"),
            Event.name,
        )
        .join(Event, Event.id == first.c.event)
        .join(Execution, Execution.id == Event.execution_id)
    )
    return {
        row.artifact: Use(id=row.id, component=row.component, run=row.run, name=row.name)
        for row in session.execute(query)
    }


def uses_of(session: Session, id_: int, direction: str) -> list[Use]:
    """The executions that took (``input``) or made (``output``) an artifact: the last 51 at most."""
    query = (
        select(Execution.id, Execution.component, Execution.context_id.label("run"), Event.name)
        .join(Event, Event.execution_id == Execution.id)
        .where(Event.artifact_id == id_, Event.direction == direction)
        .order_by(Event.id.desc())
        .limit(MOST_USES + 1)
    )
    return [Use(**row._mapping) for row in session.execute(query)]


def artifacts() -> Select[*tuple[Any, ...]]:
    """The columns of `Stored`, of all artifacts."""
    return select(Artifact.id, Artifact.type, Artifact.uri, Artifact.digest, Artifact.created)


def _count_uses(session: Session, ids: list[int]) -> Mapping[int, int]:
    query = (
        select(
            Event.artifact_id, func.sum(case((Event.direction == "input", 1), else_=0)).label("n")
        )
        .where(Event.artifact_id.in_(ids))
        .group_by(Event.artifact_id)
    )
    return {row.artifact_id: int(row.n) for row in session.execute(query)}

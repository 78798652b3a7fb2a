"""Queries for what earlier runs of a recipe did and have, newest run first.

An artifact that was taken from the cache has the number of the run that made it, so it is the run's
number that says what is newest, never the artifact's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, Select, func, select

from pipeline.lineage.schema import Artifact, Context, Event, Execution

_DONE = ("complete", "cached")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """That a component took an artifact of this content as this input."""

    component: str
    input: str
    digest: str


def newest_executions(recipe: str, root: str, component: str) -> Select[Execution]:
    """The finished executions of the component of this id."""
    return (
        select(Execution)
        .join(Context, Execution.context_id == Context.id)
        .where(
            Context.recipe == recipe,
            Context.root == root,
            Execution.component == component,
            Execution.state.in_(_DONE),
        )
        .order_by(Execution.context_id.desc(), Execution.id.desc())
    )


def complete_runs(
    recipe: str, root: str, source: Path | None, other_than: Taken | None
) -> Select[int]:
    """The complete runs of a recipe.

    Args:
        recipe: the recipe's name.
        root: which root's runs.
        source: if given, only runs count that took this folder as an input.
        other_than: if given, only runs count in which that component took something else.
    """
    query = (
        select(Context.id)
        .where(Context.recipe == recipe, Context.root == root, Context.state == "complete")
        .order_by(Context.id.desc())
    )
    if source is not None:
        query = query.where(_took(Artifact.uri == str(source)))
    if other_than is not None:
        query = query.where(
            _took(
                Execution.component == other_than.component,
                Execution.state.in_(_DONE),
                Event.name == other_than.input,
                Artifact.digest != other_than.digest,
            )
        )
    return query


def outputs_of(runs: Sequence[int], type_: str) -> Select[Artifact]:
    """The artifacts of a type, whose folders were not removed, that `runs` made or took from the cache."""
    return (
        select(Artifact)
        .join(Event, Event.artifact_id == Artifact.id)
        .join(Execution, Event.execution_id == Execution.id)
        .where(
            Execution.context_id.in_(runs),
            Event.direction == "output",
            # In a form that no index has: SQLite would go through all artifacts of the type.
            func.coalesce(Artifact.type, "") == type_,
            Artifact.removed.is_(None),
        )
        .order_by(Execution.context_id.desc(), Execution.id.desc())
    )


def without_outputs() -> Select[int]:
    """Ids of the executions of the enclosing query that have an output which was removed."""
    return (
        select(Event.execution_id)
        .join(Artifact, Artifact.id == Event.artifact_id)
        .where(
            Event.execution_id == Execution.id,
            Event.direction == "output",
            Artifact.removed.is_not(None),
        )
        .correlate(Execution)
    )


def _took(*what: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the run of the enclosing query took an artifact such as `what` says."""
    return (
        select(Execution.id)
        .join(Event, Event.execution_id == Execution.id)
        .join(Artifact, Event.artifact_id == Artifact.id)
        .where(Execution.context_id == Context.id, Event.direction == "input", *what)
        .correlate(Context)
        .exists()
    )

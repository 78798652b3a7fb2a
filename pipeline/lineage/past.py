"""Queries for what earlier runs of a recipe did and have, newest run first.

An artifact that was taken from the cache has the number of the run that made it, so it is the run's
number that says what is newest, never the artifact's.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Select, select

from pipeline.lineage.schema import Artifact, Context, Event, Execution

_DONE = ("complete", "cached")


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


def newest_outputs(recipe: str, root: str, type_: str, source: Path | None) -> Select[str]:
    """Folders of the artifacts of a type that the complete runs made or took from the cache.

    With `source`, of those runs alone that took this folder as an input.
    """
    query = (
        select(Artifact.uri)
        .join(Event, Event.artifact_id == Artifact.id)
        .join(Execution, Event.execution_id == Execution.id)
        .join(Context, Execution.context_id == Context.id)
        .where(
            Context.recipe == recipe,
            Context.root == root,
            Context.state == "complete",
            Event.direction == "output",
            Artifact.type == type_,
        )
        .order_by(Context.id.desc(), Execution.id.desc())
    )
    return query if source is None else query.where(Context.id.in_(_runs_that_took(source)))


def _runs_that_took(source: Path) -> Select[int]:
    return (
        select(Execution.context_id)
        .join(Event, Event.execution_id == Execution.id)
        .join(Artifact, Event.artifact_id == Artifact.id)
        .where(Event.direction == "input", Artifact.uri == str(source))
    )

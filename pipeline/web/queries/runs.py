"""Questions about runs."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pipeline.lineage.schema import Context, Execution
from pipeline.web.queries.metrics import headlines, named
from pipeline.web.queries.paging import Page, Window, page_of

STATES = ("running", "complete", "refused", "failed", "interrupted")
_MOST_RECIPES = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a recipe; times are UTC.

    Attributes:
        id: its number.
        recipe: which recipe.
        state: one of `STATES`.
        started: when.
        finished: when; None while it runs, and for one that was killed.
        environment: versions of the packages that decide the outcome.
    """

    id: int
    recipe: str
    state: str
    started: datetime.datetime
    finished: datetime.datetime | None
    environment: Mapping[str, str]

    @property
    def seconds(self) -> float | None:
        """How long it took; None if it has not finished."""
        return None if self.finished is None else (self.finished - self.started).total_seconds()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run, and what its steps say in a line.

    Attributes:
        run: the run.
        steps: how many steps it has begun.
        hits: how many of them were there already.
        headlines: its chief metrics, by name.
    """

    run: Run
    steps: int
    hits: int
    headlines: Mapping[str, float]


def find_run(session: Session, id_: int) -> Run | None:
    """Run number `id_`."""
    row = session.execute(_runs().where(Context.id == id_)).first()
    return None if row is None else Run(**row._mapping)


def list_runs(
    session: Session, window: Window, recipe: str | None = None, state: str | None = None
) -> Page[RunSummary]:
    """Runs, newest first, all or those of a recipe or in a state."""
    query = _runs()
    if recipe is not None:
        query = query.where(Context.recipe == recipe)
    if state is not None:
        query = query.where(Context.state == state)
    page = page_of(session, query, Context.id, window)
    runs = [Run(**row._mapping) for row in page.items]
    return dataclasses.replace(page, items=tuple(_summaries(session, runs)))


def known_recipes(session: Session) -> list[str]:
    """The recipes that were run, at most the first 50 by name."""
    query = select(Context.recipe).distinct().order_by(Context.recipe).limit(_MOST_RECIPES)
    return list(session.scalars(query))


def _runs() -> Select[*tuple[Any, ...]]:
    return select(
        Context.id,
        Context.recipe,
        Context.state,
        Context.started,
        Context.finished,
        Context.environment,
    )


def _summaries(session: Session, runs: Iterable[Run]) -> Iterable[RunSummary]:
    runs = list(runs)
    query = (
        select(Execution.context_id, Execution.component, Execution.state, Execution.metrics)
        .where(Execution.context_id.in_([run.id for run in runs]))
        .order_by(Execution.id)
    )
    by_run: dict[int, list[Any]] = {run.id: [] for run in runs}
    for row in session.execute(query):
        by_run[row.context_id].append(row)
    for run in runs:
        steps = by_run[run.id]
        yield RunSummary(
            run=run,
            steps=len(steps),
            hits=sum(step.state == "cached" for step in steps),
            headlines=headlines({s.component: named(s.metrics) for s in steps}),
        )

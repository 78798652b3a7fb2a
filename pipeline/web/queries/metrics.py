"""Questions about metrics: which there are, the chief ones of a run, one over many runs."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.lineage.schema import Context, Execution

# Chief metrics by the name that a component gives them, the first first.
_CHIEF = (
    "int8_accuracy",
    "drop_upper_95",
    "arena_bytes",
    "roc_auc",
    "false_alarm_rate",
    "missed_rate",
)
_MOST_CHIEF = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunMetrics:
    """The metrics of one run by ``ComponentId.metric``."""

    id: int
    state: str
    started: datetime.datetime
    values: Mapping[str, float]


def named(metrics: Any) -> dict[str, float]:
    """What is a number of an execution's recorded metrics."""
    pairs = metrics.items() if isinstance(metrics, dict) else ()
    return {name: float(v) for name, v in pairs if type(v) in (int, float)}


def headlines(by_step: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The chief metrics of a run, by ``ComponentId.metric``: three at the most.

    Without one that is known as such, those of the last step that has any.
    """
    found: dict[str, float] = {}
    for name in _CHIEF:
        steps = [step for step, metrics in by_step.items() if name in metrics]
        if steps:
            found[f"{steps[-1]}.{name}"] = by_step[steps[-1]][name]
    if not found:
        last = [step for step, metrics in by_step.items() if metrics][-1:]
        found = {f"{step}.{name}": value for step in last for name, value in by_step[step].items()}
    return dict(list(found.items())[:_MOST_CHIEF])


def metrics_of_runs(
    session: Session, recipe: str, before: int | None, size: int
) -> list[RunMetrics]:
    """The metrics of the newest `size` runs of a recipe older than `before`, oldest first."""
    query = select(Context.id, Context.state, Context.started).where(Context.recipe == recipe)
    if before is not None:
        query = query.where(Context.id < before)
    runs = list(session.execute(query.order_by(Context.id.desc()).limit(size)))[::-1]
    values: dict[int, dict[str, float]] = {run.id: {} for run in runs}
    found = session.execute(
        select(Execution.context_id, Execution.component, Execution.metrics)
        .where(Execution.context_id.in_(values))
        .order_by(Execution.id)
    )
    for row in found:
        for name, value in named(row.metrics).items():
            values[row.context_id][f"{row.component}.{name}"] = value
    return [
        RunMetrics(id=run.id, state=run.state, started=run.started, values=values[run.id])
        for run in runs
    ]


def metric_names(runs: Iterable[RunMetrics]) -> list[str]:
    """The names of all metrics of `runs`, in the order in which their steps came."""
    return list(dict.fromkeys(name for run in runs for name in run.values))


def chief_names(names: Iterable[str]) -> list[str]:
    """Those of `names` that are chief metrics; the first three if none is."""
    names = list(names)
    by_metric = {name.rpartition(".")[2]: name for name in names}
    return [by_metric[chief] for chief in _CHIEF if chief in by_metric] or names[:_MOST_CHIEF]

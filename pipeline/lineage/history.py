"""What the store knows of runs, as JSON: a list, one of them, and two side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from components.base import UserError
from pipeline.lineage.account import describe_executions, describe_recording
from pipeline.lineage.schema import (
    ArtifactShard,
    Context,
    Event,
    Execution,
    Recording,
    Release,
    ShardRecording,
)

Json = dict[str, Any]
LATEST = "latest"


def runs(session: Session, recipe: str | None, count: int | None) -> list[Json]:
    """Runs, the newest first; of `recipe` alone and at most `count` where these are given."""
    query = select(Context).order_by(Context.id.desc()).limit(count)
    if recipe is not None:
        query = query.where(Context.recipe == recipe)
    return [_row(session, context) for context in session.scalars(query)]


def run(session: Session, name: str) -> Json:
    """A run by its number, or the ``latest``.

    Returns:
        what `runs` gives, and ``environment``, ``recordings``: how many its examples hold, and
        ``executions`` as `pipeline.lineage.account` describes them.

    Raises:
        UserError: if there is no such run.
    """
    context = _context(session, name)
    count = select(func.count()).select_from(_recordings_of(context.id).subquery())
    return {
        **_row(session, context),
        "environment": context.environment,
        "recordings": session.scalars(count).one(),
        "executions": describe_executions(session, _executions(session, context.id)),
    }


def difference(session: Session, first: str, second: str) -> Json:
    """Two runs side by side.

    Returns:
        ``runs``: their rows; ``parameters``, ``code``, ``environment``: what differs, by name, as the
        value in each (null where there is none); ``data``: folders from outside that differ, by digest,
        and the recordings that only one has; ``metrics``: all, by ``Component.name``.

    Raises:
        UserError: if there is no such run.
    """
    one, two = run(session, first), run(session, second)
    return {
        "runs": [_without_details(one), _without_details(two)],
        "parameters": _differing(_flat(one, "parameters"), _flat(two, "parameters")),
        "data": {
            "inputs": _differing(_from_outside(one), _from_outside(two)),
            "recordings": [one["recordings"], two["recordings"]],
            "removed": _only(session, one["run"], two["run"]),
            "added": _only(session, two["run"], one["run"]),
        },
        "code": _differing(_code(one), _code(two)),
        "environment": _differing(one["environment"], two["environment"]),
        "metrics": _beside(_flat(one, "metrics"), _flat(two, "metrics")),
    }


def _context(session: Session, name: str) -> Context:
    if name == LATEST:
        context = session.scalars(select(Context).order_by(Context.id.desc()).limit(1)).first()
    else:
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else 0
        context = session.get(Context, number)
    if context is None:
        newest = session.scalars(select(func.max(Context.id))).one()
        known = f"the newest is {newest}" if newest else "there is none yet"
        raise UserError(f"{name}: no run of that number: {known}, and `runs` lists them")
    return context


def _executions(session: Session, run: int) -> Sequence[Execution]:
    query = select(Execution).where(Execution.context_id == run)
    return session.scalars(query.order_by(Execution.id)).all()


def _row(session: Session, context: Context) -> Json:
    states = Counter(
        session.scalars(select(Execution.state).where(Execution.context_id == context.id))
    )
    released = (
        select(Release)
        .join(Event, Event.artifact_id == Release.artifact_id)
        .join(Execution, Execution.id == Event.execution_id)
        .where(Execution.context_id == context.id, Event.direction == "output")
    )
    release = session.scalars(released.limit(1)).first()
    ended = context.finished
    return {
        "run": context.id,
        "recipe": context.recipe,
        "root": context.root,
        "state": context.state,
        "started": context.started.isoformat(),
        "finished": ended and ended.isoformat(),
        "seconds": (ended - context.started).total_seconds() if ended else None,
        "steps": states.total(),
        "cached": states["cached"],
        "release": release and {"name": release.name, "version": release.version},
    }


def _without_details(account: Json) -> Json:
    return {k: v for k, v in account.items() if k not in ("executions", "environment")}


def _flat(account: Json, part: str) -> Json:
    return {f"{e['component']}.{k}": v for e in account["executions"] for k, v in e[part].items()}


def _code(account: Json) -> Json:
    return {e["component"]: e["code"] for e in account["executions"]}


def _from_outside(account: Json) -> Json:
    """Digests of the inputs that no step of the run has as an output."""
    made = {a["id"] for e in account["executions"] for a in e["outputs"].values()}
    return {
        f"{e['component']}.{name}": artifact["digest"]
        for e in account["executions"]
        for name, artifact in e["inputs"].items()
        if artifact["id"] not in made
    }


def _beside(one: Mapping[str, Any], two: Mapping[str, Any]) -> Json:
    return {name: [one.get(name), two.get(name)] for name in {**one, **two}}


def _differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> Json:
    return {name: values for name, values in _beside(one, two).items() if values[0] != values[1]}


def _recordings_of(run: int) -> Select[int]:
    """Ids of the recordings in what a run made or took from the cache."""
    return (
        select(ShardRecording.recording_id)
        .join(ArtifactShard, ArtifactShard.shard_id == ShardRecording.shard_id)
        .join(Event, Event.artifact_id == ArtifactShard.artifact_id)
        .join(Execution, Execution.id == Event.execution_id)
        .where(Execution.context_id == run, Event.direction == "output")
        .distinct()
    )


def _only(session: Session, run: int, other: int) -> list[Json]:
    only = _recordings_of(run).except_(_recordings_of(other))
    query = select(Recording).where(Recording.id.in_(only)).order_by(Recording.path, Recording.id)
    return [describe_recording(recording) for recording in session.scalars(query)]

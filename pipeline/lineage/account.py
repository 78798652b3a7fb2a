"""What the store knows, as JSON: where an artifact comes from, and where a recording went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from components.artifacts import BUNDLE
from pipeline.lineage.find import Found
from pipeline.lineage.schema import Artifact, Context, Event, Execution, Payload, Recording, Release
from pipeline.lineage.walk import (
    ancestry,
    descendants,
    holders,
    list_recordings,
    recordings_in,
    taken_by,
)

Json = dict[str, Any]


def backward(session: Session, artifact: Artifact) -> Json:
    """What `artifact` follows from.

    Returns:
        ``artifact``; ``releases`` that it is or that its bundle became; ``recordings``: how many;
        ``executions``: those that it follows from, with parameters, code digest, inputs, outputs and
        metrics; ``seeds`` and ``metrics`` of them all, by ``Component.name``.
    """
    executions = ancestry(session, [artifact.id])
    artifacts = taken_by(session, executions) | {artifact.id}
    return {
        "artifact": describe(artifact),
        "releases": _releases(session, [artifact.id]),
        "recordings": recordings_in(session, artifacts),
        "executions": describe_executions(session, executions),
        "seeds": _by_component(executions, seeds_of),
        "metrics": _by_component(executions, lambda execution: execution.metrics),
    }


def forward(session: Session, found: Found) -> Json:
    """What follows from an artifact or from recordings.

    Returns:
        ``recordings`` that were meant; ``artifacts`` that hold them or follow from them, each with the
        run that made it; ``bundles`` among these with their digests; ``releases`` of them; ``retrain``:
        the recipes whose newest complete run has such a bundle, with that run.
    """
    recordings: list[Json] = []
    if found.artifact is None:
        recordings = recordings_of(session, found)
        start = holders(found.recordings)
    else:
        start = select(Artifact.id).where(Artifact.id == found.artifact.id)
    artifacts = descendants(session, start)
    ids = [artifact.id for artifact, _ in artifacts]
    bundles = {a.id: run for a, run in artifacts if a.type == BUNDLE.name}
    return {
        "recordings": recordings,
        "artifacts": [{**describe(artifact), "run": run} for artifact, run in artifacts],
        "bundles": [
            {"artifact": p.artifact_id, "run": bundles[p.artifact_id], "digest": p.digest}
            for p in _of_artifacts(session, Payload, list(bundles))
        ],
        "releases": _releases(session, ids),
        "retrain": _newest_that_have(session, bundles.keys()),
    }


def recordings_of(session: Session, found: Found) -> list[Json]:
    """The recordings that were meant, or that the artifact follows from, by path."""
    if found.artifact is None:
        query = select(Recording).where(found.recordings)
        recordings = list(session.scalars(query.order_by(Recording.path, Recording.id)))
    else:
        executions = ancestry(session, [found.artifact.id])
        artifacts = taken_by(session, executions) | {found.artifact.id}
        recordings = list_recordings(session, artifacts)
    return [describe_recording(recording) for recording in recordings]


def describe(artifact: Artifact) -> Json:
    """An artifact; ``removed`` is when its folder was, or null."""
    return {
        "id": artifact.id,
        "type": artifact.type,
        "folder": artifact.uri,
        "digest": artifact.digest,
        "created": artifact.created.isoformat(),
        "removed": artifact.removed and artifact.removed.isoformat(),
    }


def describe_recording(recording: Recording) -> Json:
    """A recording: path in the data, digest, label, speaker."""
    names = ("path", "digest", "label", "speaker")
    return {name: getattr(recording, name) for name in names}


def describe_executions(session: Session, executions: Iterable[Execution]) -> list[Json]:
    """Executions with what they took and made, in the given order."""
    chosen = list(executions)
    ids = [execution.id for execution in chosen]
    query = (
        select(Event, Artifact)
        .join(Artifact, Artifact.id == Event.artifact_id)
        .where(Event.execution_id.in_(ids))
        .order_by(Event.id)
    )
    events: dict[tuple[int, str], Json] = defaultdict(dict)
    for event, artifact in session.execute(query):
        events[event.execution_id, event.direction][event.name] = describe(artifact)
    return [
        {
            "id": e.id,
            "run": e.context_id,
            "component": e.component,
            "type": e.type,
            "state": e.state,
            "original": e.original_id,
            "cache_key": e.cache_key,
            "code": e.key_parts.get("code"),
            "environment": e.key_parts.get("environment"),
            "parameters": e.parameters,
            "seeds": seeds_of(e),
            "metrics": e.metrics,
            "inputs": events[e.id, "input"],
            "outputs": events[e.id, "output"],
            "started": e.started.isoformat(),
            "finished": e.finished and e.finished.isoformat(),
            "seconds": (e.finished - e.started).total_seconds() if e.finished else None,
        }
        for e in chosen
    ]


def seeds_of(execution: Execution) -> Mapping[str, Any]:
    """The parameters that are seeds."""
    return {name: v for name, v in execution.parameters.items() if name.endswith("seed")}


def _by_component(executions: Iterable[Execution], values: Any) -> Json:
    return {f"{e.component}.{name}": v for e in executions for name, v in values(e).items()}


def _releases(session: Session, artifacts: Collection[int]) -> list[Json]:
    """Releases that artifacts are or that bundles among them became, in the order of recording."""
    digests = {p.digest for p in _of_artifacts(session, Payload, list(artifacts))}
    rows = {r.artifact_id: r for r in _of_artifacts(session, Release, list(artifacts))}
    for batch in _batches(sorted(digests)):
        for release in session.scalars(select(Release).where(Release.digest.in_(batch))):
            rows[release.artifact_id] = release
    unique: dict[tuple[str, str, str], Json] = {}
    for _, r in sorted(rows.items()):
        described = {"name": r.name, "version": r.version, "digest": r.digest}
        unique.setdefault((r.name, r.version, r.digest), {**described, "artifact": r.artifact_id})
    return list(unique.values())


def _newest_that_have(session: Session, bundles: Collection[int]) -> list[Json]:
    """The newest complete run of each recipe, if it made one of `bundles` or took it from the cache."""
    newest = (
        select(func.max(Context.id))
        .where(Context.state == "complete")
        .group_by(Context.recipe, Context.root)
    )
    query = (
        select(Context, Event.artifact_id)
        .join(Execution, Execution.context_id == Context.id)
        .join(Event, Event.execution_id == Execution.id)
        .where(Context.id.in_(newest), Event.direction == "output")
        .order_by(Context.id)
    )
    return [
        {"recipe": context.recipe, "root": context.root, "run": context.id, "bundle": artifact}
        for context, artifact in session.execute(query)
        if artifact in bundles
    ]


def _of_artifacts(session: Session, table: Any, artifacts: list[int]) -> list[Any]:
    return [
        row
        for batch in _batches(artifacts)
        for row in session.scalars(
            select(table).where(table.artifact_id.in_(batch)).order_by(table.artifact_id)
        )
    ]


def _batches(values: list[Any]) -> Iterable[list[Any]]:
    return (values[start : start + 1000] for start in range(0, len(values), 1000))

"""Which artifacts are still needed, and which folders nobody needs any more.

Needed is what the kept runs took, made or found in the cache: of each recipe the newest complete runs,
and every run after the newest complete one, which the next run goes on from. Needed is also what a bundle
in use follows from, and what a release does: the newest releases of each name with all that they follow
from, and of older ones the bundle and the verdicts on it, which are small.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pipeline.lineage.find import bundle_of
from pipeline.lineage.schema import Artifact, Context, Event, Execution, Release
from pipeline.lineage.walk import ancestor_ids

_BATCH = 1000
_RUNS = "runs"
_PARTS = 5  # of an artifact's folder below the root: recipe, runs, number, component, output


@dataclasses.dataclass(frozen=True, kw_only=True)
class Needs:
    """What must stay.

    Attributes:
        runs: those kept whole.
        artifacts: ids of all that is needed.
    """

    runs: frozenset[int]
    artifacts: frozenset[int]


def needs(session: Session, runs: int, releases: int | None, bundles: Iterable[str]) -> Needs:
    """What must stay.

    Args:
        session: of the store.
        runs: how many of the newest complete runs of each recipe are kept whole, at least 1.
        releases: how many of the newest releases of each name keep what they follow from; None for all.
        bundles: digests of bundles in use.
    """
    kept = _kept_runs(session, runs)
    needed = _touched(session, kept)
    whole: set[int] = set()
    for digest in bundles:
        bundle = bundle_of(session, digest)
        if bundle is not None:
            whole.add(bundle.id)
    for released in _by_name(session).values():
        newest = released if releases is None else released[len(released) - releases :]
        whole.update(newest)
        older = set(released) - set(newest)
        needed |= older | _taken_to_make(session, older)
    needed |= whole | _events(session, ancestor_ids(session, whole))
    return Needs(runs=frozenset(kept), artifacts=frozenset(needed))


def not_needed(session: Session, needed: Needs, root: Path) -> list[tuple[Artifact, int]]:
    """The artifacts below `root` that no need holds, each with the run that made it, oldest first.

    Only what a step made is among them, never a folder from outside.
    """
    query = (
        select(Artifact, Execution.context_id)
        .join(Event, Event.artifact_id == Artifact.id)
        .join(Execution, Execution.id == Event.execution_id)
        .where(
            Event.direction == "output",
            Execution.state == "complete",
            Artifact.removed.is_(None),
        )
        .order_by(Artifact.id)
    )
    return [
        (artifact, run)
        for artifact, run in session.execute(query)
        if artifact.id not in needed.artifacts and is_artifact_folder(Path(artifact.uri), root)
    ]


def is_artifact_folder(folder: Path, root: Path) -> bool:
    """Whether `folder` is where a run at `root` puts an artifact, and no link leads out of it."""
    try:
        parts = folder.resolve().relative_to(root.resolve()).parts
    except ValueError:
        return False
    return len(parts) == _PARTS and parts[1] == _RUNS and not folder.is_symlink()


def mark_removed(session: Session, artifact: int) -> None:
    """Records that the folder of an artifact is gone; all else that is known of it stays."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    session.execute(update(Artifact).where(Artifact.id == artifact).values(removed=now))


def _kept_runs(session: Session, count: int) -> set[int]:
    query = select(Context.id, Context.recipe, Context.root, Context.state)
    complete: dict[tuple[str, str], int] = defaultdict(int)
    kept = set()
    for id_, recipe, root, state in session.execute(query.order_by(Context.id.desc())):
        done = complete[recipe, root]
        if state == "complete":
            complete[recipe, root] += 1
        if done == 0 or (state == "complete" and done < count):
            kept.add(id_)
    return kept


def _by_name(session: Session) -> dict[str, list[int]]:
    """The Release artifacts of each name, oldest first; of one that was recorded often, the newest."""
    rows = session.scalars(select(Release).order_by(Release.artifact_id))
    newest = {(row.name, row.version, row.digest): row.artifact_id for row in rows}
    names: dict[str, list[int]] = defaultdict(list)
    for (name, *_), artifact in sorted(newest.items(), key=lambda item: item[1]):
        names[name].append(artifact)
    return names


def _taken_to_make(session: Session, artifacts: Collection[int]) -> set[int]:
    """What the executions took that made `artifacts`."""
    executions: set[int] = set()
    for batch in _batches(artifacts):
        made = select(Event.execution_id).where(
            Event.artifact_id.in_(batch), Event.direction == "output"
        )
        executions.update(session.scalars(made))
    return _events(session, executions)


def _touched(session: Session, runs: Collection[int]) -> set[int]:
    executions: set[int] = set()
    for batch in _batches(runs):
        chosen = select(Execution.id).where(Execution.context_id.in_(batch))
        executions.update(session.scalars(chosen))
    return _events(session, executions)


def _events(session: Session, executions: Collection[int]) -> set[int]:
    """The artifacts that `executions` took or made."""
    artifacts: set[int] = set()
    for batch in _batches(executions):
        query = select(Event.artifact_id).where(Event.execution_id.in_(batch))
        artifacts.update(session.scalars(query))
    return artifacts


def _batches(ids: Collection[int]) -> Iterable[list[int]]:
    ordered = sorted(ids)
    return (ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH))

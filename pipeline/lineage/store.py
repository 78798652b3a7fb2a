"""Recording what a run did: a thin face over the tables, one short transaction a call."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, Select, func, make_url, select, update
from sqlalchemy.orm import Session

from pipeline.lineage.contents import add_contents, read_contents
from pipeline.lineage.database import (
    connect_patiently,
    for_writing,
    open_database,
    plain_errors,
    sqlite_url,
)
from pipeline.lineage.past import (
    Taken,
    complete_runs,
    newest_executions,
    outputs_of,
    without_outputs,
)
from pipeline.lineage.schema import Artifact, Context, Event, Execution

RunState = Literal["complete", "refused", "failed", "interrupted"]
DATABASE = "lineage.db"
_RUNS = 32  # that are looked through at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class CachedArtifact:
    """An artifact that an earlier execution made: its folder may have changed or gone since."""

    id: int
    type: str
    folder: Path
    digest: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class CachedExecution:
    """A complete execution whose outputs can be taken: its artifacts by output name, and its metrics."""

    id: int
    outputs: Mapping[str, CachedArtifact]
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PastExecution:
    """What a component did last: see `pipeline.lineage.schema.Execution`."""

    type: str
    cache_key: str
    key_parts: Mapping[str, Any]
    outputs: Mapping[str, CachedArtifact]


class LineageStore:
    """The lineage of all runs at one root, in SQLite by default.

    Args:
        url: an SQLAlchemy URL, e.g. ``sqlite:///var/lineage.db``.
        root: which root this is, where several share the database; empty in a root's own.

    Raises:
        components.base.UserError: here and from every method, if the database cannot be used.
    """

    def __init__(self, url: str | URL, root: str = "") -> None:
        self._root = root
        self._engine = open_database(make_url(url))
        self._writing = for_writing(self._engine)

    @classmethod
    def at(cls, root: Path) -> LineageStore:
        """The store of the root folder `root`, in a database of its own."""
        return cls(sqlite_url(root / DATABASE))

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def begin_run(self, recipe: str, environment: Mapping[str, str]) -> int:
        """Records that a run of `recipe` starts; gives its number."""
        with self.write() as session:
            context = Context(
                recipe=recipe,
                root=self._root,
                state="running",
                started=_now(),
                environment=dict(environment),
            )
            session.add(context)
            session.flush()
            return context.id

    def end_run(self, run: int, state: RunState) -> None:
        """Records how run number `run` ended."""
        with self.write() as session:
            context = session.get_one(Context, run)
            context.state = state
            context.finished = _now()

    def newest_run(self, recipe: str) -> int:
        """The number of the newest run of `recipe`; 0 if there was none."""
        ours = (Context.recipe == recipe, Context.root == self._root)
        with self.read() as session:
            return session.scalar(select(func.max(Context.id)).where(*ours)) or 0

    def abandon_running(self, recipe: str) -> dict[int, list[Path]]:
        """Marks the runs of `recipe` that are said to run, and their executions, as interrupted.

        For the holder of the root's lock, who knows that their process has died. Gives the folders
        of the artifacts that they had recorded, by the run's number.
        """
        ours = (Context.recipe == recipe, Context.root == self._root, Context.state == "running")
        ended = {"state": "interrupted", "finished": _now()}
        with self.write() as session:
            runs = session.scalars(select(Context.id).where(*ours)).all()
            recorded: dict[int, list[Path]] = {run: [] for run in runs}
            for run, uri in session.execute(_made_in(runs)):
                recorded[run].append(Path(uri))
            left = (Execution.context_id.in_(runs), Execution.state == "running")
            session.execute(update(Execution).where(*left).values(ended))
            session.execute(update(Context).where(Context.id.in_(runs)).values(ended))
        return recorded

    def begin_execution(
        self,
        run: int,
        component: str,
        type_: str,
        cache_key: str,
        key_parts: Mapping[str, Any],
        parameters: Mapping[str, Any],
        inputs: Mapping[str, int],
    ) -> int:
        """Records that a component starts; gives the execution's id.

        Args:
            run: the run's number.
            component: its id in the recipe.
            type_: the name of its class.
            cache_key: digest of `key_parts`.
            key_parts: what decides the outputs: {"type", "parameters", "inputs": {name: digest},
                "code", "environment"}.
            parameters: all its parameters, also those that decide nothing.
            inputs: the ids of the artifacts it takes, by input name.
        """
        execution = Execution(
            context_id=run,
            component=component,
            type=type_,
            state="running",
            cache_key=cache_key,
            key_parts=dict(key_parts),
            parameters=dict(parameters),
            metrics={},
            started=_now(),
        )
        with self.write() as session:
            return _add_execution(session, execution, inputs)

    def end_execution(
        self,
        execution: int,
        metrics: Mapping[str, float],
        outputs: Mapping[str, tuple[str, Path, str]],
    ) -> dict[str, int]:
        """Records a finished execution and its outputs, by name: (type, folder, digest).

        What lies in the outputs is recorded too, from their folders (`pipeline.lineage.contents`).
        Gives the artifact ids by output name.
        """
        contents = {
            name: read_contents(type_, folder, self.write)
            for name, (type_, folder, _) in outputs.items()
        }
        with self.write() as session:
            row = session.get_one(Execution, execution)
            row.state = "complete"
            row.metrics = dict(metrics)
            row.finished = _now()
            ids = {}
            for name, (type_, folder, digest) in outputs.items():
                ids[name] = _add_artifact(session, type_, folder, digest)
                session.add(_event(execution, ids[name], "output", name))
                add_contents(session, ids[name], contents[name])
            return ids

    def fail_execution(self, execution: int, state: Literal["failed", "interrupted"]) -> None:
        """Records that an execution did not finish."""
        with self.write() as session:
            row = session.get_one(Execution, execution)
            row.state = state
            row.finished = _now()

    def find_cached(self, cache_key: str) -> CachedExecution | None:
        """The newest complete execution with this key, of any run, however that run ended.

        Those whose outputs have been removed (`Artifact.removed`) do not count.
        """
        query = (
            select(Execution)
            .where(
                Execution.cache_key == cache_key,
                Execution.state == "complete",
                Execution.id.not_in(without_outputs()),
            )
            .order_by(Execution.id.desc())
            .limit(1)
        )
        with self.read() as session:
            found = session.scalars(query).first()
            if found is None:
                return None
            return CachedExecution(
                id=found.id, outputs=_outputs(session, found.id), metrics=found.metrics
            )

    def record_hit(
        self,
        run: int,
        component: str,
        type_: str,
        cached: CachedExecution,
        cache_key: str,
        key_parts: Mapping[str, Any],
        parameters: Mapping[str, Any],
        inputs: Mapping[str, int],
    ) -> int:
        """Records that a component took the outputs of `cached`; gives the execution's id.

        The other arguments are those of `begin_execution`.
        """
        now = _now()
        execution = Execution(
            context_id=run,
            original_id=cached.id,
            component=component,
            type=type_,
            state="cached",
            cache_key=cache_key,
            key_parts=dict(key_parts),
            parameters=dict(parameters),
            metrics=dict(cached.metrics),
            started=now,
            finished=now,
        )
        with self.write() as session:
            id_ = _add_execution(session, execution, inputs)
            for name, artifact in cached.outputs.items():
                session.add(_event(id_, artifact.id, "output", name))
            return id_

    def latest_execution(
        self, recipe: str, component: str, before_run: int | None = None
    ) -> PastExecution | None:
        """What the component of this id in `recipe` did last, made or taken from the cache.

        Args:
            recipe: the recipe's name.
            component: the component's id.
            before_run: if given, only runs before that one count.
        """
        query = newest_executions(recipe, self._root, component)
        if before_run is not None:
            query = query.where(Context.id < before_run)
        with self.read() as session:
            found = session.scalars(query.limit(1)).first()
            if found is None:
                return None
            return PastExecution(
                type=found.type,
                cache_key=found.cache_key,
                key_parts=found.key_parts,
                outputs=_outputs(session, found.id),
            )

    def add_external(self, type_: str, folder: Path, digest: str) -> int:
        """Records a folder from outside as an artifact (once for each content); gives its id."""
        with self.write() as session:
            found = session.scalars(
                select(Artifact).where(Artifact.digest == digest, Artifact.uri == str(folder))
            ).first()
            return found.id if found else _add_artifact(session, type_, folder, digest)

    def latest_output(
        self,
        recipe: str,
        type_: str,
        source: Path | None = None,
        other_than: Taken | None = None,
    ) -> CachedArtifact | None:
        """The artifact of a type that the newest complete run of `recipe` has.

        The run made it, or took it from the cache. An artifact whose folder has been removed is
        passed over. For the arguments see `pipeline.lineage.past.complete_runs`.
        """
        query = complete_runs(recipe, self._root, source, other_than)
        with self.read() as session:
            for runs in session.scalars(query.execution_options(yield_per=_RUNS)).partitions():
                for artifact in session.scalars(outputs_of(runs, type_)):
                    if Path(artifact.uri).is_dir():
                        return _cached(artifact)
        return None

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one state of the store, for the queries of this package."""
        with (
            plain_errors(self._engine),
            connect_patiently(self._engine) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may change the store; it is recorded as a whole or not at all."""
        with (
            plain_errors(self._engine),
            connect_patiently(self._writing) as connection,
            Session(connection) as session,
            session.begin(),
        ):
            yield session


def _add_execution(session: Session, execution: Execution, inputs: Mapping[str, int]) -> int:
    session.add(execution)
    session.flush()
    for name, artifact in inputs.items():
        session.add(_event(execution.id, artifact, "input", name))
    return execution.id


def _add_artifact(session: Session, type_: str, folder: Path, digest: str) -> int:
    artifact = Artifact(type=type_, uri=str(folder), digest=digest, created=_now())
    session.add(artifact)
    session.flush()
    return artifact.id


def _made_in(runs: Sequence[int]) -> Select[int, str]:
    """(run, folder) of each artifact that the executions of `runs` made."""
    return (
        select(Execution.context_id, Artifact.uri)
        .join(Event, Event.execution_id == Execution.id)
        .join(Artifact, Event.artifact_id == Artifact.id)
        .where(
            Execution.context_id.in_(runs),
            Execution.state == "complete",
            Event.direction == "output",
        )
    )


def _outputs(session: Session, execution: int) -> dict[str, CachedArtifact]:
    query = (
        select(Event.name, Artifact)
        .join(Artifact, Event.artifact_id == Artifact.id)
        .where(Event.execution_id == execution, Event.direction == "output")
    )
    return {name: _cached(artifact) for name, artifact in session.execute(query)}


def _cached(row: Artifact) -> CachedArtifact:
    return CachedArtifact(id=row.id, type=row.type, folder=Path(row.uri), digest=row.digest)


def _event(execution: int, artifact: int, direction: str, name: str) -> Event:
    return Event(execution_id=execution, artifact_id=artifact, direction=direction, name=name)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)

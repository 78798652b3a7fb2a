"""Recording what a run did: a thin face over the tables, one short transaction a call."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Select, create_engine, event, select
from sqlalchemy.orm import Session

from pipeline.lineage.schema import Artifact, Base, Context, Event, Execution

RunState = Literal["complete", "refused", "failed", "interrupted"]


class LineageStore:
    """The lineage of all runs at one root, in SQLite by default.

    Args:
        url: an SQLAlchemy URL, e.g. ``sqlite:///var/lineage.db``.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _wait_for_locks)
        Base.metadata.create_all(self._engine)

    @classmethod
    def at(cls, root: Path) -> LineageStore:
        """The store of the root folder `root`."""
        return cls(f"sqlite:///{root / 'lineage.db'}")

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def begin_run(self, recipe: str, environment: Mapping[str, str]) -> int:
        """Records that a run of `recipe` starts; gives its number."""
        with self._session() as session:
            context = Context(
                recipe=recipe, state="running", started=_now(), environment=dict(environment)
            )
            session.add(context)
            session.flush()
            return context.id

    def end_run(self, run: int, state: RunState) -> None:
        """Records how run number `run` ended."""
        with self._session() as session:
            context = session.get_one(Context, run)
            context.state = state
            context.finished = _now()

    def begin_execution(
        self,
        run: int,
        component: str,
        type_: str,
        cache_key: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, int],
    ) -> int:
        """Records that a component starts, with the ids of the artifacts it takes; gives its id."""
        with self._session() as session:
            execution = Execution(
                context_id=run,
                component=component,
                type=type_,
                state="running",
                cache_key=cache_key,
                parameters=dict(parameters),
                metrics={},
                started=_now(),
            )
            session.add(execution)
            session.flush()
            for name, artifact in inputs.items():
                session.add(_event(execution.id, artifact, "input", name))
            return execution.id

    def end_execution(
        self,
        execution: int,
        metrics: Mapping[str, float],
        outputs: Mapping[str, tuple[str, Path, str]],
    ) -> dict[str, int]:
        """Records a finished execution and its outputs, by name: (type, folder, digest).

        Gives the artifact ids by output name.
        """
        with self._session() as session:
            row = session.get_one(Execution, execution)
            row.state = "complete"
            row.metrics = dict(metrics)
            row.finished = _now()
            ids = {}
            for name, (type_, folder, digest) in outputs.items():
                ids[name] = self._add_artifact(session, type_, folder, digest)
                session.add(_event(execution, ids[name], "output", name))
            return ids

    def fail_execution(self, execution: int, state: Literal["failed", "interrupted"]) -> None:
        """Records that an execution did not finish."""
        with self._session() as session:
            row = session.get_one(Execution, execution)
            row.state = state
            row.finished = _now()

    def add_external(self, type_: str, folder: Path, digest: str) -> int:
        """Records a folder from outside as an artifact (once for each content); gives its id."""
        with self._session() as session:
            found = session.scalars(
                select(Artifact).where(Artifact.digest == digest, Artifact.uri == str(folder))
            ).first()
            return found.id if found else self._add_artifact(session, type_, folder, digest)

    def latest_output(self, recipe: str, type_: str, source: Path | None = None) -> Path | None:
        """The newest artifact of a type that a complete run of `recipe` made.

        An artifact whose folder has been removed is passed over.

        Args:
            recipe: the recipe's name.
            type_: the artifact type's name.
            source: if given, only runs count that took this folder as an input.
        """
        query = (
            select(Artifact.uri)
            .join(Event, Event.artifact_id == Artifact.id)
            .join(Execution, Event.execution_id == Execution.id)
            .join(Context, Execution.context_id == Context.id)
            .where(
                Context.recipe == recipe,
                Context.state == "complete",
                Event.direction == "output",
                Artifact.type == type_,
            )
            .order_by(Artifact.id.desc())
        )
        if source is not None:
            query = query.where(Context.id.in_(_runs_that_took(source)))
        with self._session() as session:
            for uri in session.scalars(query):
                if Path(uri).is_dir():
                    return Path(uri)
        return None

    @staticmethod
    def _add_artifact(session: Session, type_: str, folder: Path, digest: str) -> int:
        artifact = Artifact(type=type_, uri=str(folder), digest=digest, created=_now())
        session.add(artifact)
        session.flush()
        return artifact.id

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self._engine) as session, session.begin():
            yield session


def _event(execution: int, artifact: int, direction: str, name: str) -> Event:
    return Event(execution_id=execution, artifact_id=artifact, direction=direction, name=name)


def _runs_that_took(source: Path) -> Select[int]:
    return (
        select(Execution.context_id)
        .join(Event, Event.execution_id == Execution.id)
        .join(Artifact, Event.artifact_id == Artifact.id)
        .where(Event.direction == "input", Artifact.uri == str(source))
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _wait_for_locks(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 30000")

"""A lineage store that tells others, as OpenLineage events, what it has recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import URL, select

from pipeline.lineage.openlineage_events import Datasets, Events
from pipeline.lineage.schema import Artifact
from pipeline.lineage.store import CachedExecution, LineageStore, RunState


class TellingStore(LineageStore):
    """As `LineageStore`; each start and end goes to `events` once it is recorded."""

    def __init__(self, url: str | URL, root: str, events: Events) -> None:
        super().__init__(url, root)
        self._events = events

    def begin_run(self, recipe: str, environment: Mapping[str, str]) -> int:
        """See `LineageStore`."""
        run = super().begin_run(recipe, environment)
        self._events.run_started(recipe)
        return run

    def end_run(self, run: int, state: RunState) -> None:
        """See `LineageStore`."""
        super().end_run(run, state)
        self._events.run_ended(state)

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
        """See `LineageStore`."""
        id_ = super().begin_execution(
            run, component, type_, cache_key, key_parts, parameters, inputs
        )
        taken = self._datasets(inputs.values())
        self._events.step_started(id_, component, key_parts, cache_key, parameters, taken)
        return id_

    def end_execution(
        self,
        execution: int,
        metrics: Mapping[str, float],
        outputs: Mapping[str, tuple[str, Path, str]],
    ) -> dict[str, int]:
        """See `LineageStore`."""
        ids = super().end_execution(execution, metrics, outputs)
        made = {folder: digest for _, folder, digest in outputs.values()}
        self._events.step_ended(execution, "complete", metrics, made)
        return ids

    def fail_execution(self, execution: int, state: Literal["failed", "interrupted"]) -> None:
        """See `LineageStore`."""
        super().fail_execution(execution, state)
        self._events.step_ended(execution, state, {}, {})

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
        """See `LineageStore`."""
        id_ = super().record_hit(
            run, component, type_, cached, cache_key, key_parts, parameters, inputs
        )
        taken = self._datasets(inputs.values())
        self._events.step_started(id_, component, key_parts, cache_key, parameters, taken)
        made = {artifact.folder: artifact.digest for artifact in cached.outputs.values()}
        self._events.step_ended(id_, "cached", cached.metrics, made)
        return id_

    def _datasets(self, artifacts: Collection[int]) -> Datasets:
        query = select(Artifact.uri, Artifact.digest).where(Artifact.id.in_(artifacts))
        with self.read() as session:
            return {Path(uri): digest for uri, digest in session.execute(query)}

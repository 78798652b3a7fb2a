"""The runner: walks a recipe, takes from the cache what was made before, and records what happened.

Outputs appear whole or not at all: an executor writes into a folder aside, which is synced and renamed
into place after it succeeded and only then recorded. A component marked ``GATED`` runs only if every
gate decided before it holds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal, Protocol

from components.artifacts import Gate, read_gates, write_json
from components.base import PREVIOUS, Component, Metrics
from pipeline import execution, keys
from pipeline.digests import artifact_digest
from pipeline.folders import RecipeFolders
from pipeline.lineage.store import CachedArtifact, CachedExecution, LineageStore
from pipeline.recipe import Recipe
from pipeline.resolution import Resolution, recorded_inputs


class View(execution.Watcher, Protocol):
    """Who is shown how a run goes (see pipeline.ui)."""

    def step_started(self, id: str, number: int, of: int) -> None:
        """Step `id`, the `number`-th of `of`, starts."""
        ...

    def step_cached(self, id: str, number: int, of: int) -> None:
        """Step `id`, the `number`-th of `of`, need not run: what it would make is there."""
        ...

    def step_finished(self, id: str, seconds: float, metrics: Metrics) -> None:
        """Step `id` is done."""
        ...

    def step_failed(self, id: str, message: str) -> None:
        """Step `id` did not succeed."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one finished step gave.

    Attributes:
        id: of its component.
        seconds: how long it took; 0 if its outputs came from the cache.
        metrics: what its executor measured.
        hit: whether its outputs came from the cache.
    """

    id: str
    seconds: float
    metrics: Metrics
    hit: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run gave.

    Attributes:
        run: its number in the lineage store.
        artifacts: folder of each output, by ``ComponentId.output``.
        digests: digest of the content of each output, likewise.
        steps: the finished steps in order.
        gates: all gates, in the order in which they were decided.
    """

    run: int
    artifacts: Mapping[str, Path]
    digests: Mapping[str, str]
    steps: tuple[StepResult, ...]
    gates: tuple[Gate, ...]

    @property
    def refused(self) -> bool:
        """Whether a gate did not hold."""
        return not all(gate.passed for gate in self.gates)


def run_recipe(recipe: Recipe, root: Path, store: LineageStore, view: View, lock: int) -> RunResult:
    """Runs every component of `recipe`, with its artifacts below `root`.

    Args:
        recipe: what to run.
        root: see `pipeline.folders`.
        store: what is recorded, and what earlier runs recorded.
        view: who is shown.
        lock: the descriptor of the root's lock (see `pipeline.root_lock`), which each step inherits.

    Raises:
        components.base.UserError: if the user can put it right.
        pipeline.execution.StepCrashed: if a step died.
        OSError: if the root cannot be written, e.g. because the disk is full.
    """
    folders = RecipeFolders(root, recipe.name)
    folders.sweep(store.abandon_running(recipe.name))
    run = store.begin_run(recipe.name, keys.environment())
    walk = _Walk(run, recipe, folders, store, Resolution(recipe, root, store), view, lock)
    state: Literal["complete", "refused", "failed", "interrupted"] = "failed"
    try:
        folders.run(run).mkdir(parents=True)
        walk.all_steps()
        folders.drop_partials()
        result = walk.result()
        state = "refused" if result.refused else "complete"
        return result
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        with contextlib.suppress(OSError):
            folders.run(run).rmdir()  # if nothing was made
        store.end_run(run, state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Running:
    """A step under way."""

    component: Component
    recorded: int
    partial: Path
    execution: execution.Execution
    started: float


class _Walk:
    """The state of one run while it goes on.

    Steps are started in the recipe's order, as soon as their inputs are there; those that need not
    be alone run side by side, one a core.
    """

    def __init__(
        self,
        run: int,
        recipe: Recipe,
        folders: RecipeFolders,
        store: LineageStore,
        resolution: Resolution,
        view: View,
        lock: int,
    ) -> None:
        self.steps: list[StepResult] = []
        self._made: dict[str, CachedArtifact] = {}
        self._gates: dict[str, list[Gate]] = {}
        self._run = run
        self._components = recipe.components
        self._waiting = list(recipe.components)
        self._anew: set[str] = set()
        self._folders = folders
        self._store = store
        self._resolution = resolution
        self._view = view
        self._lock = lock
        self._running: dict[Future[Metrics], _Running] = {}

    def all_steps(self) -> None:
        """Runs the steps; whatever ends this early ends the steps under way."""
        with ThreadPoolExecutor(max_workers=len(self._components)) as threads:
            try:
                while self._waiting or self._running:
                    while (component := self._next()) is not None:
                        self._waiting.remove(component)
                        if self._gates_hold(component):
                            self._take_or_start(component, threads)
                    if self._running:
                        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                            self._finish(future)
            except BaseException as e:
                self._abandon(e)
                raise
            finally:
                self._resolution.save()

    def result(self) -> RunResult:
        """What the run gave, once all steps are done."""
        return RunResult(
            run=self._run,
            artifacts={name: artifact.folder for name, artifact in self._made.items()},
            digests={name: artifact.digest for name, artifact in self._made.items()},
            steps=tuple(self.steps),
            gates=tuple(gate for gates in self._gates.values() for gate in gates),
        )

    def _next(self) -> Component | None:
        """The first waiting component that may start now."""
        running = [r.component for r in self._running.values()]
        for component in self._waiting:
            alone = component.ALONE or component.GATED  # its gates must all be decided
            if running and (alone or any(r.ALONE for r in running)):
                continue
            if len(running) >= max(1, os.cpu_count() or 1):
                continue
            made = {f"{c.producer}.{c.output}" for c in component.inputs.values() if c.producer}
            if made <= set(self._made):
                return component
        return None

    def _gates_hold(self, component: Component) -> bool:
        decided = [gate for gates in self._gates.values() for gate in gates]
        return not component.GATED or all(gate.passed for gate in decided)

    def _take_or_start(self, component: Component, threads: ThreadPoolExecutor) -> None:
        inputs = self._resolution.inputs(component, self._made)
        parts = self._resolution.key_parts(component, inputs)
        key = keys.cache_key(parts)
        if component.id not in self._anew:
            found = self._resolution.cached(component, key)
            if found.execution is not None:
                self._take(component, key, parts, inputs, found.execution)
                return
            if found.damaged:
                self._view.warning(f"{component.id} runs again: {found.damaged}")
        if self._all_sound(component, inputs):
            self._start(component, key, parts, inputs, threads)

    def _take(
        self,
        component: Component,
        key: str,
        parts: Mapping[str, Any],
        inputs: Mapping[str, CachedArtifact],
        cached: CachedExecution,
    ) -> None:
        self._store.record_hit(
            self._run,
            component.id,
            type(component).__name__,
            cached,
            key,
            parts,
            dataclasses.asdict(component.parameters),
            recorded_inputs(inputs, None),
        )
        self._view.step_cached(
            component.id, self._components.index(component) + 1, len(self._components)
        )
        self._have(component, cached.outputs)
        self.steps.append(
            StepResult(id=component.id, seconds=0.0, metrics=dict(cached.metrics), hit=True)
        )

    def _all_sound(self, component: Component, inputs: Mapping[str, CachedArtifact]) -> bool:
        """Whether `component` may read its inputs; if not, those who made them run again first."""
        damaged = {
            channel.producer
            for name, channel in component.inputs.items()
            if channel.producer and not self._resolution.is_sound(inputs[name])
        }
        if not damaged:
            return True
        again = [c for c in self._components if c.id in damaged]
        for producer in again:
            self._view.warning(f"{producer.id} runs again: what it made has been damaged since")
            for name in producer.OUTPUTS:
                del self._made[f"{producer.id}.{name}"]
        self.steps = [step for step in self.steps if step.id not in damaged]
        self._anew |= damaged
        self._waiting = [*again, component, *self._waiting]
        return False

    def _start(
        self,
        component: Component,
        key: str,
        parts: Mapping[str, Any],
        inputs: Mapping[str, CachedArtifact],
        threads: ThreadPoolExecutor,
    ) -> None:
        previous = self._resolution.previous(component, parts)
        recorded = self._store.begin_execution(
            self._run,
            component.id,
            type(component).__name__,
            key,
            parts,
            dataclasses.asdict(component.parameters),
            recorded_inputs(inputs, previous),
        )
        folders = {name: artifact.folder for name, artifact in inputs.items()}
        if previous is not None:
            folders[PREVIOUS] = previous.folder
        number = self._components.index(component) + 1
        self._view.step_started(component.id, number, len(self._components))
        running: _Running | None = None
        try:
            partial = self._folders.open_partial(component, key)
            running = _Running(
                component=component,
                recorded=recorded,
                partial=partial,
                execution=self._launch(component, folders, partial, key),
                started=time.monotonic(),
            )
            self._running[threads.submit(running.execution.result, self._view)] = running
        except BaseException as e:
            if running is not None:  # interrupted, and a thread may wait for it already
                running.execution.cancel()
                self._folders.leave_partial(running.partial)
            self._running = {f: r for f, r in self._running.items() if r is not running}
            self._store.fail_execution(recorded, _state_after(e))
            self._view.step_failed(component.id, str(e) or _state_after(e))
            raise

    def _launch(
        self, component: Component, inputs: Mapping[str, Path], partial: Path, key: str
    ) -> execution.Execution:
        outputs = {name: partial / name for name in component.OUTPUTS}
        for path in outputs.values():
            write_json(
                path / "lineage.json", {"component": type(component).__name__, "cache_key": key}
            )
        log = self._folders.log(self._run, component)
        return execution.Execution(component, inputs, outputs, log, [self._lock])

    def _finish(self, future: Future[Metrics]) -> None:
        running = self._running[future]
        component = running.component
        metrics = future.result()
        self._resolution.check_outside(component)
        final = self._folders.run(self._run) / component.id
        self._folders.publish(running.partial, final)
        del self._running[future]
        seconds = time.monotonic() - running.started
        described = {
            name: (type_.name, final / name, artifact_digest(final / name))
            for name, type_ in component.OUTPUTS.items()
        }
        ids = self._store.end_execution(running.recorded, metrics, described)
        outputs = {
            name: CachedArtifact(id=ids[name], type=type_, folder=folder, digest=digest)
            for name, (type_, folder, digest) in described.items()
        }
        for artifact in outputs.values():
            self._resolution.made(artifact)
        self._have(component, outputs)
        self.steps.append(StepResult(id=component.id, seconds=seconds, metrics=metrics))
        self._view.step_finished(component.id, seconds, metrics)

    def _have(self, component: Component, outputs: Mapping[str, CachedArtifact]) -> None:
        self._gates.pop(component.id, None)
        for name, artifact in outputs.items():
            self._made[f"{component.id}.{name}"] = artifact
            if (artifact.folder / "gates.json").exists():
                self._gates.setdefault(component.id, []).extend(read_gates(artifact.folder))

    def _abandon(self, error: BaseException) -> None:
        state = _state_after(error)
        for future, running in self._running.items():
            message = "interrupted" if state == "interrupted" else "ended with the run"
            if future.done() and state == "failed":
                message = str(future.exception() or error)
            running.execution.cancel()
            self._folders.leave_partial(running.partial)
            self._store.fail_execution(running.recorded, state)
            self._view.step_failed(running.component.id, message)
        self._running.clear()


def _state_after(error: BaseException) -> Literal["failed", "interrupted"]:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"

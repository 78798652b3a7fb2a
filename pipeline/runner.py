"""The runner: walks a recipe, gives each component its folders, records what happened.

Outputs appear whole or not at all: an executor writes into a folder aside, which is synced and renamed
into place after it succeeded and only then recorded. A component marked ``GATED`` runs only if every
gate decided before it holds.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Literal, Protocol

from components.artifacts import Gate, read_gates, write_json
from components.base import Component, Metrics
from pipeline import execution, keys
from pipeline.code_digest import CodeDigests
from pipeline.digests import folder_digest
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe


class View(execution.Watcher, Protocol):
    """Who is shown how a run goes (see pipeline.ui)."""

    def step_started(self, id: str, number: int, of: int) -> None:
        """Step `id`, the `number`-th of `of`, starts."""
        ...

    def step_finished(self, id: str, seconds: float, metrics: Metrics) -> None:
        """Step `id` is done."""
        ...

    def step_failed(self, id: str, message: str) -> None:
        """Step `id` did not succeed."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepResult:
    """What one finished step gave."""

    id: str
    seconds: float
    metrics: Metrics


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run gave.

    Attributes:
        run: its number in the lineage store.
        artifacts: folder of each output, by ``ComponentId.output``.
        steps: the finished steps in order.
        gates: all gates, in the order in which they were decided.
    """

    run: int
    artifacts: Mapping[str, Path]
    steps: tuple[StepResult, ...]
    gates: tuple[Gate, ...]

    @property
    def refused(self) -> bool:
        """Whether a gate did not hold."""
        return not all(gate.passed for gate in self.gates)


def run_recipe(recipe: Recipe, root: Path, store: LineageStore, view: View) -> RunResult:
    """Runs every component of `recipe`, with its artifacts below `root`.

    Raises:
        components.base.UserError: if the user can put it right.
        pipeline.execution.StepCrashed: if a step died.
        OSError: if the root cannot be written, e.g. because the disk is full.
    """
    run = store.begin_run(recipe.name, keys.environment())
    folder = root / recipe.name / "runs" / f"{run:06d}"
    walk = _Walk(run, recipe, folder, store, view)
    state: Literal["complete", "refused", "failed", "interrupted"] = "failed"
    try:
        folder.mkdir(parents=True)
        walk.all_steps()
        result = RunResult(
            run=run, artifacts=walk.artifacts, steps=tuple(walk.steps), gates=tuple(walk.gates)
        )
        state = "refused" if result.refused else "complete"
        return result
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        if not walk.artifacts:
            shutil.rmtree(folder, ignore_errors=True)
        store.end_run(run, state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Running:
    """A step under way."""

    component: Component
    recorded: int
    aside: Path
    execution: execution.Execution
    started: float


class _Walk:
    """The state of one run while it goes on.

    Steps are started in the recipe's order, as soon as their inputs are there; those that need not
    be alone run side by side, one a core.
    """

    def __init__(
        self, run: int, recipe: Recipe, folder: Path, store: LineageStore, view: View
    ) -> None:
        self.artifacts: dict[str, Path] = {}
        self.steps: list[StepResult] = []
        self.gates: list[Gate] = []
        self._run = run
        self._components = recipe.components
        self._waiting = list(recipe.components)
        self._folder = folder
        self._store = store
        self._view = view
        self._ids: dict[Path, int] = {}
        self._digests: dict[Path, str] = {}
        self._code = CodeDigests(folder.parents[2] / ".memory" / "code.json")
        self._running: dict[Future[Metrics], _Running] = {}

    def all_steps(self) -> None:
        """Runs the steps; whatever ends this early ends the steps under way and removes them."""
        with ThreadPoolExecutor(max_workers=len(self._components)) as threads:
            try:
                while self._waiting or self._running:
                    while (component := self._next()) is not None:
                        self._waiting.remove(component)
                        if self._gates_hold(component):
                            self._start(component, threads)
                    for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                        self._finish(future)
            except BaseException as e:
                self._abandon(isinstance(e, KeyboardInterrupt))
                raise

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
            if made <= set(self.artifacts):
                return component
        return None

    def _gates_hold(self, component: Component) -> bool:
        return not component.GATED or all(gate.passed for gate in self.gates)

    def _start(self, component: Component, threads: ThreadPoolExecutor) -> None:
        inputs = {name: self._resolve(component, name) for name in component.inputs}
        digests = {name: self._digests[path] for name, path in inputs.items()}
        parts = keys.key_parts(component, digests, self._code.of(component).digest)
        key = keys.cache_key(parts)
        recorded = self._store.begin_execution(
            self._run,
            component.id,
            type(component).__name__,
            key,
            parts,
            dataclasses.asdict(component.parameters),
            {name: self._ids[path] for name, path in inputs.items()},
        )
        number = self._components.index(component) + 1
        self._view.step_started(component.id, number, len(self._components))
        aside = self._folder / f".{component.id}.partial"
        try:
            child = self._launch(component, inputs, aside, key)
        except BaseException as e:
            shutil.rmtree(aside, ignore_errors=True)
            self._store.fail_execution(recorded, "failed")
            self._view.step_failed(component.id, str(e))
            raise
        running = _Running(
            component=component,
            recorded=recorded,
            aside=aside,
            execution=child,
            started=time.monotonic(),
        )
        self._running[threads.submit(child.result, self._view)] = running

    def _launch(
        self, component: Component, inputs: Mapping[str, Path], aside: Path, key: str
    ) -> execution.Execution:
        outputs = {name: aside / name for name in component.OUTPUTS}
        for path in outputs.values():
            path.mkdir(parents=True)
            write_json(path / "lineage.json", {"component": component.id, "cache_key": key})
        log = self._folder / "logs" / f"{component.id}.log"
        log.parent.mkdir(exist_ok=True)
        return execution.Execution(component, inputs, outputs, log)

    def _finish(self, future: Future[Metrics]) -> None:
        running = self._running[future]
        metrics = future.result()
        final = self._folder / running.component.id
        _publish(running.aside, final)
        del self._running[future]
        seconds = time.monotonic() - running.started
        self._record(running.component, running.recorded, final, metrics, seconds)

    def _abandon(self, interrupted: bool) -> None:
        for future, running in self._running.items():
            failed = future.done() and not future.cancelled() and future.exception()
            running.execution.cancel()
            shutil.rmtree(running.aside, ignore_errors=True)
            self._store.fail_execution(running.recorded, "interrupted" if interrupted else "failed")
            message = "interrupted" if interrupted else str(failed or "ended with the run")
            self._view.step_failed(running.component.id, message)
        self._running.clear()

    def _record(
        self, component: Component, recorded: int, final: Path, metrics: Metrics, seconds: float
    ) -> None:
        described = {}
        for name, type_ in component.OUTPUTS.items():
            folder = final / name
            self._digests[folder] = folder_digest(folder)
            described[name] = (type_.name, folder, self._digests[folder])
        for name, id_ in self._store.end_execution(recorded, metrics, described).items():
            folder = final / name
            self._ids[folder] = id_
            self.artifacts[f"{component.id}.{name}"] = folder
            if (folder / "gates.json").exists():
                self.gates.extend(read_gates(folder))
        self.steps.append(StepResult(id=component.id, seconds=seconds, metrics=metrics))
        self._view.step_finished(component.id, seconds, metrics)

    def _resolve(self, component: Component, name: str) -> Path:
        channel = component.inputs[name]
        if channel.path is None:
            return self.artifacts[f"{channel.producer}.{channel.output}"]
        if channel.path not in self._ids:
            digest = folder_digest(channel.path)
            self._digests[channel.path] = digest
            self._ids[channel.path] = self._store.add_external(
                channel.type.name, channel.path, digest
            )
        return channel.path


def _publish(aside: Path, final: Path) -> None:
    for path in aside.rglob("*"):
        if path.is_file():
            _sync(path)
    os.rename(aside, final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

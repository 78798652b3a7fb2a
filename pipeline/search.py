"""Runs a search for an architecture: features by the recipe's own steps, then candidate after candidate."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from components.base import Component, UserError
from components.tuner.component import Candidate, CandidateParameters
from components.tuner.outcome import Finished, Outcome
from components.tuner.space import Proposal
from components.tuner.study import Study
from pipeline.execution import Execution, Watcher
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from pipeline.runner import View, run_recipe
from pipeline.ui.figures import duration

STUDY = "study.db"

# Proposals in a row that were tried before, after which there is hardly anything new.
_REPETITIONS = 30

Clock = Callable[[], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """When a search ends, and what it does not train; 0 is no bound.

    Attributes:
        trials: candidates in all, those of earlier calls included.
        seconds: no candidate is begun after so long.
        architectures: names of those that are searched.
        most_bytes: see `CandidateParameters`, also for the next two.
        most_macs: likewise.
        most_arena_bytes: likewise.
    """

    trials: int
    seconds: float
    architectures: tuple[str, ...]
    most_bytes: int
    most_macs: int
    most_arena_bytes: int


def searched(recipe: Recipe, trainer: str) -> tuple[Component, Recipe]:
    """The component `trainer` of `recipe`, and the steps that make its features, as a recipe.

    Raises:
        UserError: if the recipe has no such component, or it chooses no architecture.
    """
    by_id = {component.id: component for component in recipe.components}
    component = by_id.get(trainer)
    if component is None or not hasattr(component.parameters, "architecture"):
        raise UserError(f"{recipe.name} trains no network: there is no architecture to search")
    needed: set[str] = set()
    ahead = [component.inputs["features"].producer]
    while ahead:
        maker = ahead.pop()
        if maker not in needed:
            needed.add(maker)
            ahead += [c.producer for c in by_id[maker].inputs.values() if c.producer]
    steps = tuple(c for c in recipe.components if c.id in needed)
    return component, Recipe(f"{recipe.name}_search", steps)


class Search:
    """A search of the architecture of one component of a recipe.

    Everything lies below ``ROOT/<recipe>_search``: the artifacts of the features, the study, and what
    the candidate under way leaves itself to go on from.

    Args:
        trainer: the component, with the parameters that every candidate is trained with.
        steps: those that make its features; see `searched`.
        root: see `pipeline.folders`.
        view: who is shown.
        lock: the descriptor of the root's lock, which every process inherits.
        clock: seconds.
    """

    def __init__(
        self, trainer: Component, steps: Recipe, root: Path, view: View, lock: int, clock: Clock
    ) -> None:
        self._trainer = trainer
        self._steps = steps
        self._root = root
        self._folder = root / steps.name
        self._view = view
        self._lock = lock
        self._clock = clock

    def run(self, store: LineageStore, bounds: Bounds) -> list[Finished]:
        """Tries candidates until a bound is reached; all that were tried on these features so far.

        Raises:
            components.base.UserError: if the user can put it right.
            pipeline.execution.StepCrashed: if a step or a candidate died.
        """
        result = run_recipe(self._steps, self._root, store, self._view, self._lock)
        wired = self._trainer.inputs["features"]
        made = f"{wired.producer}.{wired.output}"
        features = result.artifacts[made]
        study = self._open(result.digests[made], bounds)
        started = self._clock()
        before = done = len(study.finished())
        repeated = 0
        while done < bounds.trials and repeated < _REPETITIONS:
            passed = self._clock() - started
            if bounds.seconds and passed >= bounds.seconds:
                break
            number, proposal = study.ask()
            earlier = study.earlier(proposal)
            if earlier is not None:
                study.tell(number, earlier.outcome, repeats=earlier.number)
                repeated += 1
                continue
            repeated = 0
            watcher = _WholeSearch(
                self._view, self._clock, started, done - before, bounds.trials - before
            )
            self._view.step_started(_title(proposal), done + 1, bounds.trials)
            try:
                outcome = self._try(proposal, features, study, bounds, watcher)
            except BaseException as e:
                study.again(number, proposal)
                self._view.step_failed(_title(proposal), str(e) or "interrupted")
                raise
            study.tell(number, outcome)
            seconds = self._clock() - started - passed
            self._view.step_finished(_title(proposal), seconds, outcome.figures)
            if outcome.reason:
                said = outcome.state.replace("_", " ")
                self._view.warning(f"{_title(proposal)}: {said}: {outcome.reason}")
            done += 1
        return study.finished()

    def _open(self, features: str, bounds: Bounds) -> Study:
        """The study of these features, parameters and limits: no other trial can be compared."""
        parameters = dataclasses.asdict(self._trainer.parameters)
        first = parameters.pop("architecture")
        del parameters["widths"]
        limits = dataclasses.asdict(bounds)
        del limits["trials"], limits["seconds"]
        key = json.dumps([features, parameters, limits], sort_keys=True)
        return Study(
            self._folder / STUDY,
            hashlib.sha256(key.encode()).hexdigest()[:16],
            bounds.architectures,
            first,
            self._trainer.parameters.seed,
        )

    def _try(
        self, proposal: Proposal, features: Path, study: Study, bounds: Bounds, watcher: Watcher
    ) -> Outcome:
        """What comes of `proposal`, in a child process."""
        wished = dataclasses.asdict(self._trainer.parameters)
        wished |= {"architecture": proposal.architecture, "widths": proposal.widths}
        parameters = CandidateParameters(
            **wished,
            most_bytes=bounds.most_bytes,
            most_macs=bounds.most_macs,
            most_arena_bytes=bounds.most_arena_bytes,
            rivals=study.rivals(),
            grace=wished["epochs"] // 3,
        )
        component = Candidate(
            parameters, _title(proposal), features=self._trainer.inputs["features"]
        )
        # Named after what it tries, so that one that was killed goes on from its last epoch.
        name = hashlib.sha256(f"{study.name} {_title(proposal)}".encode()).hexdigest()[:16]
        output = self._folder / "candidates" / name
        output.mkdir(parents=True, exist_ok=True)
        log = output.with_suffix(".log")
        child = Execution(component, {"features": features}, {"trial": output}, log, [self._lock])
        child.result(watcher)
        outcome = Outcome.read(output)
        shutil.rmtree(output)
        log.unlink()
        return outcome


class _WholeSearch:
    """Tells what a candidate tells, with the time left of the whole search.

    Args:
        view: who is told.
        clock: seconds.
        started: when the search began.
        done: candidates that ended since.
        of: how many there are to be.
    """

    def __init__(self, view: View, clock: Clock, started: float, done: int, of: int) -> None:
        self._view = view
        self._clock = clock
        self._started = started
        self._done = done
        self._of = of

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        share = self._done + done / total
        left = (self._clock() - self._started) * (self._of - share) / max(share, 1e-6)
        notes = (f"{duration(left)} left for all" if share > 0 else "", note)
        self._view.step_progress(id, done, total, unit, " · ".join(n for n in notes if n))

    def warning(self, message: str) -> None:
        self._view.warning(message)


def _title(proposal: Proposal) -> str:
    return f"{proposal.architecture} {','.join(map(str, proposal.widths))}"

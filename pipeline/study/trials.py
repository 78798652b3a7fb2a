"""Runs of candidates: the recipe of each, through the pipeline's runner, and its record in the ledger."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from components.artifacts import Gate
from components.base import UserError
from pipeline.execution import StepCrashed
from pipeline.recipe import Recipe, apply_settings, demand_fit
from pipeline.study.ledger import Ledger, Record, Refusal
from pipeline.study.prices import Planned
from pipeline.study.techniques import Candidate, Techniques, fidelity_settings
from pipeline.study.wiring import Purpose

# Whose metrics are kept, a later one's before an earlier's: a device gets what the Streamer makes.
_TELLING = ("Converter", "Screener", "Evaluator", "Streamer", "InfraValidator")
# What the study decides of each training step, and nobody else.
OWN = ("seed", "epochs", "examples_per_epoch")
# What the Screener does as the Evaluator will.
_ALIKE = ("hop_frames", "smoothing")


class Told(Protocol):
    """Who is told how the study goes."""

    def rung(self, title: str, runs: int) -> None:
        """A rung with so many runs begins."""
        ...

    def ran(self, candidate: Candidate, record: Record, left_s: float) -> None:
        """A run is over; `left_s` seconds of the budget are left."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run of a recipe gave.

    Attributes:
        seconds: how long each step took that did not come from the cache, by its id.
        metrics: every step's, by its id.
        gates: those that were decided.
    """

    seconds: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, float]]
    gates: tuple[Gate, ...] = ()


Run = Callable[[Recipe], Ran]
Wire = Callable[[tuple[str, ...], Purpose], Recipe]


class Trials:
    """The runs of one study.

    Args:
        techniques: where its candidates are from.
        wire: makes the recipe of steps for a purpose.
        run: runs a recipe.
        ledger: what was run before.
        told: who is told.
        budget_s: seconds for all of it.
        settings: for every candidate, after its own.
        clock: seconds that pass.
    """

    def __init__(
        self,
        techniques: Techniques,
        *,
        wire: Wire,
        run: Run,
        ledger: Ledger,
        told: Told,
        budget_s: float,
        settings: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._techniques = techniques
        self._wire = wire
        self._run = run
        self._ledger = ledger
        self.told = told
        self._budget = budget_s
        self._settings = list(settings)
        self._clock = clock

    @property
    def shares(self) -> Mapping[str, float]:
        """Examples that a training step sees, as a share of the Trainer's, by its id."""
        return self._techniques.shares

    def prepare(self) -> None:
        """Makes the features, which all candidates share, by a run of its own."""
        if self._ledger.plan.get("prepared"):
            return
        start = self._clock()
        recipe = self._wire((), "prepare")
        apply_settings(recipe, self._settings_of(recipe))
        self._run(recipe)
        self._ledger.spend(self._clock() - start)
        self._ledger.decide("prepared", 1)

    def recipe(self, planned: Planned, purpose: Purpose) -> Recipe:
        """The recipe of a run."""
        candidate = planned.candidate
        recipe = self._wire(candidate.steps, purpose)
        ids = {c.id for c in recipe.components}
        shares = dict(self._techniques.shares)
        shares["Quantizer"] *= planned.rounding
        trained = [id_ for id_ in shares if id_ in ids]
        apply_settings(
            recipe,
            [
                *fidelity_settings(shares, trained, planned.examples),
                *(f"{id_}.seed={planned.seed}" for id_ in trained),
                *candidate.settings,
                *self._settings_of(recipe),
            ],
        )
        demand_fit(recipe)
        return recipe

    def _settings_of(self, recipe: Recipe) -> list[str]:
        """The settings for every candidate that have a step in this recipe."""
        ids = {c.id for c in recipe.components}
        found = []
        for text in self._settings:
            owner, _, rest = text.strip().partition(".")
            if owner == "Evaluator" and rest.partition("=")[0].strip() in _ALIKE:
                found += [f"{id_}.{rest}" for id_ in ("Evaluator", "Screener") if id_ in ids]
            elif owner in ids:
                found.append(text)
        return found

    def compare(self, planned: Planned, rung: str, purpose: Purpose) -> Record:
        """Runs a candidate for comparison; the record is found again by its rung and seed."""
        known = self._ledger.find(planned.candidate.key, rung, planned.seed)
        if known is not None:
            return known

        def attempt() -> tuple[list[Ran], tuple[Refusal, ...]]:
            ran = self._one(planned, purpose)
            return [ran], _refusals(ran)

        return self._recorded(planned, rung, attempt)

    def release(self, planned: Planned, limits: Mapping[str, float]) -> Record:
        """Trains a candidate, and releases it if what devices would get keeps the limits, and every gate."""

        def attempt() -> tuple[list[Ran], tuple[Refusal, ...]]:
            trained = self._one(planned, "measure")
            figures = _telling(trained)
            over = tuple(
                Refusal(
                    gate=name,
                    value=figures.get(name, math.inf),
                    limit=limit,
                    advice="it grew with longer training: raise the limit, or try a smaller network",
                )
                for name, limit in limits.items()
                if figures.get(name, math.inf) > limit
            )
            if over:
                return [trained], over
            whole = self._one(planned, "release")
            return [trained, whole], _refusals(whole)

        return self._recorded(planned, "release", attempt)

    def _one(self, planned: Planned, purpose: Purpose) -> Ran:
        return self._run(self.recipe(planned, purpose))

    def _recorded(
        self,
        planned: Planned,
        rung: str,
        attempt: Callable[[], tuple[list[Ran], tuple[Refusal, ...]]],
    ) -> Record:
        seconds: dict[str, float] = {}
        metrics: dict[str, float] = {}
        refusals: tuple[Refusal, ...] = ()
        failed, start = "", self._clock()
        try:
            runs, refusals = attempt()
            for ran in runs:
                seconds |= ran.seconds
                metrics |= _telling(ran)
        except (UserError, StepCrashed) as e:
            failed = str(e).strip().partition("\n")[0] or type(e).__name__
        record = Record(
            candidate=planned.candidate.key,
            rung=rung,
            seed=planned.seed,
            examples=planned.examples,
            seconds=self._clock() - start,
            step_seconds=seconds,
            metrics=metrics,
            rounding=planned.rounding,
            refusals=refusals,
            failed=failed,
        )
        self._ledger.add(record)
        self.told.ran(planned.candidate, record, self._budget - self._ledger.seconds)
        return record


def _telling(ran: Ran) -> dict[str, float]:
    """What a run says of its candidate."""
    return {name: value for id_ in _TELLING for name, value in ran.metrics.get(id_, {}).items()}


def _refusals(ran: Ran) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(gate=gate.name, value=gate.value, limit=gate.limit, advice=gate.advice)
        for gate in ran.gates
        if not gate.passed
    )

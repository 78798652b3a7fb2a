"""The study itself: screening by successive halving, then several seeds on the front, within a budget.

    rung 0   every candidate, few examples, one seed; what does not fit into two fifths of the budget is
             left untried (each technique comes before any of its knobs)
    rung 1   the better half by Pareto ranks, or as many of it as a fifth of the budget affords at twice
             the examples or more
    final    the front of those, at as many as are affordable with three seeds; each is measured on the
             runtimes; time that is left goes into further seeds

Choices are made by validation accuracy. Where a release has limits, candidates that keep them come before
the others in rung 1, and the front is taken from them alone. A candidate that fails is noted with its
reason, and costs only itself. Every run goes through the pipeline's runner and so through its cache, and
what was found out is in a ledger: a study that was stopped goes on where it was, with the time it had left.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from components.base import UserError
from pipeline.execution import StepCrashed
from pipeline.recipe import Recipe, apply_settings, demand_fit
from pipeline.study import budget
from pipeline.study.front import COSTS, Point, front, halved, spread, within
from pipeline.study.ledger import Ledger, Record
from pipeline.study.techniques import Candidate, Techniques, fidelity_settings
from pipeline.study.wiring import Purpose

FIRST_SEED = 1
_FIRST_RUNG_EXAMPLES = 8_192
_MOST_EXAMPLES = 600_000
_FIRST_RUNG_SHARE, _SECOND_RUNG_SHARE = 0.4, 0.6  # of the budget, spent by the end of each
_RELEASE_SHARE, _LEAST_RELEASE_S, _MOST_RELEASE_S = 0.06, 60.0, 240.0
_LEAST_KEPT, _MOST_FINAL = 4, 6
_MOST_SEEDS = 9
_MEASURE_S = 30.0


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
    """What a run of a recipe gave: how many steps were not cached, and every step's metrics by its id."""

    steps: int
    metrics: Mapping[str, Mapping[str, float]]


Run = Callable[[Recipe], Ran]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What the study found.

    Attributes:
        tried: candidates with their best-founded records, most examples first; a candidate of the
            final rung has one a seed.
        final: those of the final rung, in the order in which they were kept.
        measured: what runtimes say of each of those.
        untried: those for which there was no time.
        failed: reasons by candidate.
        examples: that the Trainer saw, by rung.
    """

    tried: dict[str, tuple[Record, ...]]
    final: tuple[Candidate, ...]
    measured: dict[str, Record]
    untried: tuple[Candidate, ...]
    failed: dict[str, str]
    examples: dict[str, int]


class Study:
    """One study under way.

    Args:
        candidates: what to try, in order.
        techniques: where they are from.
        wire: makes the recipe of steps for a purpose.
        run: runs a recipe.
        ledger: what was found before.
        told: who is told.
        budget_s: seconds for all of it.
        seeds: on the front.
        settings: for every candidate, after its own.
        limits: what a release may cost at most, by figure; candidates that keep them are preferred.
        clock: seconds that pass.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        techniques: Techniques,
        *,
        wire: Callable[[tuple[str, ...], Purpose], Recipe],
        run: Run,
        ledger: Ledger,
        told: Told,
        budget_s: float,
        seeds: int = 3,
        settings: Sequence[str] = (),
        limits: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._candidates = list(candidates)
        self._techniques = techniques
        self._wire = wire
        self._run = run
        self._ledger = ledger
        self._told = told
        self._budget = budget_s
        self._seeds = seeds
        self._settings = list(settings)
        # The others are known of measured candidates alone.
        self._limits = {figure: limit for figure, limit in limits.items() if figure in COSTS}
        self._clock = clock
        self._reserve = min(_MOST_RELEASE_S, max(_LEAST_RELEASE_S, _RELEASE_SHARE * budget_s))
        self._reserve = min(self._reserve, 0.3 * budget_s)

    def all_rungs(self) -> Result:
        """Runs the study; gives what it found.

        Raises:
            UserError: if the data cannot be used, or not one candidate could be tried in the time.
        """
        self._prepare()
        first = self._first_rung()
        survivors = self._second_rung(first)
        final = self._final_rung(survivors)
        return self._result(final)

    def recipe(self, candidate: Candidate, purpose: Purpose, examples: int, seed: int) -> Recipe:
        """The recipe of a run."""
        recipe = self._wire(candidate.steps, purpose)
        ids = {c.id for c in recipe.components}
        trained = [id_ for id_ in self._techniques.shares if id_ in ids]
        shares = self._techniques.shares
        apply_settings(
            recipe,
            [
                *fidelity_settings(shares, trained, examples),
                *(f"{id_}.seed={seed}" for id_ in trained),
                *candidate.settings,
                *(text for text in self._settings if text.partition(".")[0] in ids),
            ],
        )
        demand_fit(recipe)
        return recipe

    def _prepare(self) -> None:
        """Makes the features, which all candidates share, by a run of its own."""
        if self._ledger.plan.get("prepared"):
            return
        start = self._clock()
        recipe = self._wire((), "prepare")
        ids = {c.id for c in recipe.components}
        apply_settings(recipe, [s for s in self._settings if s.partition(".")[0] in ids])
        self._run(recipe)
        self._ledger.spend(self._clock() - start)
        self._ledger.decide("prepared", 1)

    def _first_rung(self) -> list[Candidate]:
        scale = max(1.0, self._budget / 3600.0)
        examples = self._ledger.decide("0", round(_FIRST_RUNG_EXAMPLES * scale))
        self._told.rung("every technique, few examples", len(self._candidates))
        done: list[Record] = []
        for candidate in self._candidates:
            known = self._ledger.find(candidate.key, "0", FIRST_SEED)
            usual = statistics.fmean(r.seconds for r in done) if done else 0.0
            if known is None and done and self._spent + usual > _FIRST_RUNG_SHARE * self._budget:
                continue
            record = known or self._try(candidate, "0", "screen", examples, FIRST_SEED)
            done.append(record)
        tried = [c for c in self._candidates if self._records(c, "0")]
        if not tried:
            reasons = {r.failed for r in done if r.failed}
            raise UserError(
                "not one candidate could be trained: "
                + ("; ".join(sorted(reasons)) or "give a larger --budget-minutes")
            )
        return tried

    def _second_rung(self, first: list[Candidate]) -> list[Candidate]:
        by_key = {c.key: c for c in first}
        better = halved([self._point(c, "0") for c in first], _LEAST_KEPT, self._limits)
        seconds = _SECOND_RUNG_SHARE * self._budget - self._spent
        kept: list[Candidate] = []
        examples = 0
        for count in range(len(better), min(_LEAST_KEPT, len(better)) - 1, -1):
            kept = [by_key[p.name] for p in better[:count]]
            examples = self._affordable(kept, 1, seconds, 2 * self._ledger.plan["0"])
            if examples:
                break
        if not examples:
            kept = [by_key[p.name] for p in better]  # the front is taken from all of them
        kept = [by_key[p.name] for p in better[: self._ledger.decide("kept", len(kept))]]
        examples = self._ledger.decide("1", examples)
        if not examples:
            return kept
        self._told.rung("the better half, more examples", len(kept))
        for candidate in kept:
            if self._ledger.find(candidate.key, "1", FIRST_SEED) is None:
                self._try(candidate, "1", "screen", examples, FIRST_SEED)
        return [c for c in kept if self._records(c, "1")] or kept

    def _final_rung(self, survivors: list[Candidate]) -> list[Candidate]:
        rung = "1" if all(self._records(c, "1") for c in survivors) else "0"
        by_key = {c.key: c for c in survivors}
        points = [self._point(c, rung) for c in survivors]
        best = front([p for p in points if within(p, self._limits)] or points)
        least = self._ledger.plan[rung]
        chosen: list[Candidate] = []
        examples = 0
        for count in range(min(_MOST_FINAL, len(best)), 0, -1):
            chosen = [by_key[p.name] for p in spread(best, count)]
            seconds = self._left - count * _MEASURE_S
            examples = self._affordable(chosen, self._seeds, seconds, least)
            if examples:
                break
        count = self._ledger.decide("final candidates", len(chosen))
        chosen = [by_key[p.name] for p in spread(best, count)]
        examples = self._ledger.decide("final", examples or least)
        self._told.rung("the front, several seeds", len(chosen) * self._seeds)
        for candidate in chosen:
            if self._ledger.find(candidate.key, "final", FIRST_SEED) is None:
                self._try(candidate, "final", "screen", examples, FIRST_SEED)
            # The same again, from the cache, and the runtimes: they do not care which seed it was.
            if self._ledger.find(candidate.key, "measured", FIRST_SEED) is None:
                self._try(candidate, "measured", "measure", examples, FIRST_SEED)
        for seed in range(FIRST_SEED + 1, FIRST_SEED + _MOST_SEEDS):
            for candidate in chosen:
                # The first seed may have come from the cache, if it learned as much in an earlier rung.
                took = [t.seconds for t in self._timed(candidate) if t.examples == examples]
                known = self._ledger.find(candidate.key, "final", seed) is not None
                if not known and took and max(took) <= self._left:
                    self._try(candidate, "final", "screen", examples, seed)
        return [c for c in chosen if self._records(c, "final")]

    def _affordable(
        self, candidates: Sequence[Candidate], seeds: int, seconds: float, least: int
    ) -> int:
        """Examples at which `seeds` runs of each candidate fit into `seconds`; 0 if not even `least`."""
        runs = {f"{c.key} {n}": self._timed(c) for c in candidates for n in range(seeds)}
        most = max(least, _MOST_EXAMPLES)
        return budget.affordable(runs, seconds, least=least, most=most)

    def _try(
        self, candidate: Candidate, rung: str, purpose: Purpose, examples: int, seed: int
    ) -> Record:
        metrics: dict[str, float] = {}
        failed, steps, start = "", 1, self._clock()
        try:
            ran = self._run(self.recipe(candidate, purpose, examples, seed))
            steps = max(1, ran.steps)
            for id_ in ("Converter", "Screener", "InfraValidator"):
                metrics |= ran.metrics.get(id_, {})
        except (UserError, StepCrashed) as e:
            failed = str(e).strip().splitlines()[0] or type(e).__name__
        record = Record(
            candidate=candidate.key,
            rung=rung,
            seed=seed,
            examples=examples,
            seconds=self._clock() - start,
            steps=steps,
            metrics=metrics,
            failed=failed,
        )
        self._ledger.add(record)
        self._told.ran(candidate, record, self._budget - self._spent)
        return record

    def _records(self, candidate: Candidate, rung: str) -> list[Record]:
        of = [r for r in self._ledger.records if (r.candidate, r.rung) == (candidate.key, rung)]
        return [r for r in of if not r.failed]

    def _timed(self, candidate: Candidate) -> list[budget.Timed]:
        return [
            budget.Timed(examples=r.examples, seconds=r.seconds, steps=r.steps)
            for r in self._ledger.records
            if r.candidate == candidate.key and not r.failed and r.rung != "measured"
        ]

    def _point(self, candidate: Candidate, rung: str) -> Point:
        metrics = self._records(candidate, rung)[0].metrics
        costs = {name: metrics[name] for name in COSTS}
        return Point(name=candidate.key, accuracy=metrics["val_accuracy"], costs=costs)

    @property
    def _spent(self) -> float:
        return self._ledger.seconds

    @property
    def _left(self) -> float:
        return self._budget - self._reserve - self._spent

    def _result(self, final: list[Candidate]) -> Result:
        tried: dict[str, tuple[Record, ...]] = {}
        for candidate in self._candidates:
            for rung in ("final", "1", "0"):
                records = self._records(candidate, rung)
                if records:
                    tried[candidate.key] = tuple(records)
                    break
        failed = {r.candidate: r.failed for r in self._ledger.records if r.failed}
        return Result(
            tried=tried,
            final=tuple(final),
            measured={c.key: record for c in final for record in self._records(c, "measured")[:1]},
            untried=tuple(
                c for c in self._candidates if c.key not in tried and c.key not in failed
            ),
            failed={key: why for key, why in failed.items() if key not in tried},
            examples={r: n for r, n in self._ledger.plan.items() if r in ("0", "1", "final") and n},
        )

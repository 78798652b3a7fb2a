"""The study itself: screening by successive halving, several seeds on the front, and a release, in a budget.

    rung 0   every technique, few examples, one seed, until three tenths of the budget are spent; then
             knobs, those of the better techniques first, until a little over two
    rung 1   the better third by Pareto ranks, or as many of it as can see three times the examples
             before not quite half of the budget is spent
    final    the front of those, with three seeds, at as many examples as are affordable, twice as many
             where possible; each is measured on the runtimes; time that is left goes into further seeds
    release  the best of those trained anew at length; see `pipeline.study.release`
    late     in the time that is left, what there was none for in rung 0, at as many examples

What is less than half as accurate as the best is left behind in any rung: nobody would ship it. Choices
are made by validation accuracy. Where a release has limits, candidates that keep them come before the
others in rung 1, and the front is taken from them alone. A candidate that fails is noted with its reason,
and costs only itself.

Each rung trains anew: the learning rate falls to nothing by the end of each training, so that going on
from there is not what a longer training is, and rungs grow so fast that it would save little. What
candidates of one rung share is trained once, by the cache. What was found out is in a ledger: a study that
was stopped goes on where it was, with the time it had left.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Mapping, Sequence

from components.base import UserError
from components.trainer.component import TrainerParameters
from pipeline.study import budget
from pipeline.study.front import COSTS, Point, front, promising, ranked, reduced, spread, within
from pipeline.study.ledger import Ledger, Record
from pipeline.study.prices import Planned, Prices
from pipeline.study.release import FIRST_SHARE, next_attempt
from pipeline.study.techniques import Candidate
from pipeline.study.trials import Trials

FIRST_SEED = 1
# What the keyword recipe's student sees.
LONG = TrainerParameters().epochs * TrainerParameters().examples_per_epoch
_FIRST_RUNG_EXAMPLES, _MOST_HOURS = 16_384, 4.0  # in an hour or less; times as many in so many
_MOST_EXAMPLES = 1_000_000
# Of the budget, spent by the end of each.
_TECHNIQUES_SHARE, _KNOBS_SHARE, _SECOND_RUNG_SHARE = 0.3, 0.22, 0.45
_RELEASE_SHARE = 0.38
_LATE_SHARE = 0.97  # what a run takes is not known to the second
_REDUCTION = 3
_LEAST_KEPT, _MOST_FINAL, _LEAST_FINAL = 4, 5, 3
_MOST_SEEDS = 12
_MEASURE_S = 30.0
# Evaluation, streaming form, checks on runtimes and packaging, before any release was timed.
_GATES_S, _GATES_SHARE = 90.0, 0.1
_GATES = ("Evaluator", "Streamer", "InfraValidator", "Packager", "Pusher")


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
        trials: what runs them.
        ledger: what was found before; that of `trials`.
        budget_s: seconds for all of it.
        seeds: on the front.
        limits: what a release may cost at most, by figure; candidates that keep them are preferred.
        cores: how many steps run side by side.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        trials: Trials,
        ledger: Ledger,
        *,
        budget_s: float,
        limits: Mapping[str, float],
        seeds: int = 3,
        cores: int = os.cpu_count() or 1,
    ) -> None:
        self._candidates = list(candidates)
        self._trials = trials
        self._ledger = ledger
        self._budget = budget_s
        self._seeds = seeds
        # The others are known of measured candidates alone.
        self._limits = {figure: limit for figure, limit in limits.items() if figure in COSTS}
        self._cores = cores

    def all_rungs(self) -> Result:
        """Compares the candidates; gives what was found.

        Raises:
            UserError: if the data cannot be used, or not one candidate could be tried in the time.
        """
        failed = [r for r in self.attempts if r.failed]
        if failed and not any(r.released for r in self.attempts):
            self._ledger.forget(failed)  # by an earlier start, for a full disk perhaps
        self._trials.prepare()
        first = self._first_rung()
        survivors = self._second_rung(first)
        final = self._final_rung(survivors)
        return self._result(final)

    def release(self, best: Sequence[Candidate]) -> tuple[Record, ...]:
        """Tries to release one of `best`, in their order, in the time that is left; gives the attempts."""
        compared = self._ledger.plan["final"]
        if best:
            self._trials.told.rung("the release: trained at length, every gate", len(best))
        while True:
            planned = next_attempt(
                best,
                self.attempts,
                self._budget - self._spent,
                self._release_price,
                least=compared,
                most=max(compared, LONG),
                seeds=self._release_seed,
            )
            if planned is None:
                return self.attempts
            self._trials.release(planned, self._limits)

    def late(self, result: Result) -> Result:
        """Tries what there was no time for, in the time that is left; gives what was found with that.

        It changes nothing of the comparison and the release, and shows what more of the knobs do.
        """
        place = self._places([c for c in self._candidates if self._records(c, "0")])
        waiting = [c for c in result.untried if not c.turned or c.technique in place]
        waiting.sort(key=lambda c: place[c.technique] if c.turned else -1)
        if waiting:
            self._trials.told.rung("what there was no time for before", len(waiting))
            self._screen(waiting, self._ledger.plan["0"], _LATE_SHARE, "late")
        return self._result(list(result.final))

    def planned(self, record: Record) -> Planned:
        """What a record is of."""
        (candidate,) = (c for c in self._candidates if c.key == record.candidate)
        return Planned(
            candidate=candidate,
            examples=record.examples,
            seed=record.seed,
            rounding=record.rounding,
        )

    @property
    def attempts(self) -> tuple[Record, ...]:
        """What was tried to release so far, in order."""
        return tuple(r for r in self._ledger.records if r.rung == "release")

    def _first_rung(self) -> list[Candidate]:
        scale = min(_MOST_HOURS, max(1.0, self._budget / 3600.0))
        examples = self._ledger.decide("0", round(_FIRST_RUNG_EXAMPLES * scale))
        techniques = [c for c in self._candidates if not c.turned]
        self._trials.told.rung("every technique, few examples", len(techniques))
        reasons = self._screen(techniques, examples, _TECHNIQUES_SHARE, "0")
        tried = [c for c in techniques if self._records(c, "0")]
        if not tried:
            self._ledger.forget(list(self._ledger.records))  # whatever it was may have been mended
            raise UserError(
                "not one candidate could be trained: "
                + ("; ".join(sorted(reasons)) or "give a larger --budget-minutes")
            )
        place = self._places(tried)
        knobs = [c for c in self._candidates if c.turned and c.technique in place]
        knobs.sort(key=lambda c: place[c.technique])
        if len(tried) == len([c for c in techniques if not self._failed(c)]):
            self._trials.told.rung("their knobs, the better techniques first", len(knobs))
            self._screen(knobs, examples, _KNOBS_SHARE, "0")
        return [c for c in self._candidates if self._records(c, "0")]

    def _places(self, tried: Sequence[Candidate]) -> dict[str, int]:
        """How the techniques of rung 0 rank, from 0; a technique's best candidate counts."""
        order = {p.name: n for n, p in enumerate(ranked(self._points(tried, "0"), self._limits))}
        by_rank = sorted(tried, key=lambda c: order[c.key], reverse=True)
        return {c.technique: order[c.key] for c in by_rank}

    def _screen(
        self, candidates: Sequence[Candidate], examples: int, share: float, rung: str
    ) -> set[str]:
        """Runs those in `rung` that fit into `share` of the budget; gives why some failed."""
        reasons = set()
        for candidate in candidates:
            planned = Planned(candidate=candidate, examples=examples, seed=FIRST_SEED)
            known = self._ledger.find(candidate.key, rung, FIRST_SEED)
            ends = self._spent + self._prices.total([planned])
            if known is None and self._ledger.records and ends > share * self._budget:
                continue
            record = self._trials.compare(planned, rung, "screen")
            if record.failed:
                reasons.add(record.failed)
        return reasons

    def _second_rung(self, first: list[Candidate]) -> list[Candidate]:
        by_key = {c.key: c for c in first}
        points = promising(self._points(first, "0"))
        better = reduced(points, _REDUCTION, _LEAST_KEPT, self._limits)
        seconds = _SECOND_RUNG_SHARE * self._budget - self._spent
        kept: list[Candidate] = []
        examples = 0
        for count in range(len(better), min(_LEAST_KEPT, len(better)) - 1, -1):
            kept = [by_key[p.name] for p in better[:count]]
            longer = _REDUCTION * self._ledger.plan["0"]
            if self._prices.total(self._runs(kept, 1, longer)) <= seconds:
                examples = longer
                break
        if not examples:
            better = ranked(points, self._limits)  # the front is taken from all of them
            kept = [by_key[p.name] for p in better]
        kept = [by_key[p.name] for p in better[: self._ledger.decide("kept", len(kept))]]
        examples = self._ledger.decide("1", examples)
        if not examples:
            return kept
        self._trials.told.rung("the better third, more examples", len(kept))
        for candidate in kept:
            planned = Planned(candidate=candidate, examples=examples, seed=FIRST_SEED)
            self._trials.compare(planned, "1", "screen")
        return [c for c in kept if self._records(c, "1")] or kept

    def _final_rung(self, survivors: list[Candidate]) -> list[Candidate]:
        rung = "1" if all(self._records(c, "1") for c in survivors) else "0"
        by_key = {c.key: c for c in survivors}
        points = self._points(survivors, rung)
        points = promising([p for p in points if within(p, self._limits)] or points)
        best = front(points)
        before = self._ledger.plan[rung]
        most, least = min(_MOST_FINAL, len(best)), min(_LEAST_FINAL, len(best))
        wished = [(count, 2 * before) for count in range(most, least - 1, -1)]
        wished += [(count, before) for count in range(least, 0, -1)]
        chosen: list[Candidate] = []
        examples = 0
        for count, at_least in wished:
            chosen = [by_key[p.name] for p in spread(best, count)]
            seconds = self._budget - self._spent - count * _MEASURE_S
            examples = self._affordable(chosen, seconds, at_least)
            if examples:
                break
        count = self._ledger.decide("final candidates", len(chosen))
        chosen = [by_key[p.name] for p in spread(best, count)]
        examples = self._ledger.decide("final", examples or before)
        reserve = round(self._reserve(self._prices, chosen[0], examples))
        reserve = self._ledger.decide("kept for the release, seconds", reserve)
        self._trials.told.rung("the front, several seeds", len(chosen) * self._seeds)
        for candidate in chosen:
            planned = Planned(candidate=candidate, examples=examples, seed=FIRST_SEED)
            self._trials.compare(planned, "final", "screen")
            # The same again, from the cache, and the runtimes: they do not care which seed it was.
            self._trials.compare(planned, "measured", "measure")
        chosen = [c for c in chosen if self._records(c, "final")]
        if self.attempts:
            return chosen
        for seed in range(FIRST_SEED + 1, FIRST_SEED + _MOST_SEEDS):
            for candidate in chosen:
                planned = Planned(candidate=candidate, examples=examples, seed=seed)
                known = self._ledger.find(candidate.key, "final", seed) is not None
                asked = seed < FIRST_SEED + self._seeds
                kept = FIRST_SHARE * reserve if asked else self._kept(chosen, reserve, examples)
                left = self._budget - self._spent - kept
                if not known and self._prices.total([planned]) <= left:
                    self._trials.compare(planned, "final", "screen")
        return chosen

    def _kept(self, final: Sequence[Candidate], planned: float, examples: int) -> float:
        """Seconds that further seeds leave to the release of whoever is ahead now."""
        return max(planned, self._reserve(self._prices, self._ahead(final), examples))

    def _ahead(self, final: Sequence[Candidate]) -> Candidate:
        """The most accurate of the final rung, which will most likely be released."""

        def accuracy(candidate: Candidate) -> float:
            records = self._records(candidate, "final")
            return statistics.fmean(r.metrics["val_accuracy"] for r in records)

        return max(final, key=accuracy)

    def _affordable(self, final: Sequence[Candidate], seconds: float, least: int) -> int:
        """Examples at which the seeds of `final` fit beside a release of its first; 0 if not `least`."""
        prices = self._prices

        def total(examples: int) -> float:
            runs = self._runs(final, self._seeds, examples)
            return prices.total(runs) + self._reserve(prices, final[0], examples)

        return budget.affordable(total, seconds, least=least, most=_MOST_EXAMPLES)

    def _runs(self, candidates: Sequence[Candidate], seeds: int, examples: int) -> list[Planned]:
        return [
            Planned(candidate=candidate, examples=examples, seed=seed)
            for seed in range(FIRST_SEED, FIRST_SEED + seeds)
            for candidate in candidates
        ]

    def _reserve(self, prices: Prices, candidate: Candidate, compared: int) -> float:
        """Seconds that are kept for the release of `candidate`, compared at so many examples.

        It is trained anew only if the comparison was shorter than the keyword recipe.
        """
        if compared >= LONG:
            return 2 * self._gates_s
        run = Planned(candidate=candidate, examples=LONG, seed=FIRST_SEED)
        whole = prices.total([run]) + self._gates_s
        return min(_RELEASE_SHARE * self._budget, whole / FIRST_SHARE)

    def _release_price(self, planned: Planned) -> float:
        return self._prices.total([planned]) + self._gates_s

    def _release_seed(self, candidate: Candidate) -> int:
        """The seed of a release: the best of the comparison, if that was as long; else the first.

        All that are trained anew have one seed, so that a second attempt finds what it shares with the first.
        """
        if self._ledger.plan["final"] < LONG:
            return FIRST_SEED
        records = self._records(candidate, "final")
        return max(records, key=lambda r: r.metrics["val_accuracy"]).seed

    @property
    def _gates_s(self) -> float:
        """Seconds that the steps of a release take beside those of training."""
        timed = [
            sum(r.step_seconds.get(id_, 0.0) for id_ in _GATES)
            for r in self.attempts
            if "Evaluator" in r.step_seconds
        ]
        return max(timed) if timed else min(_GATES_S, _GATES_SHARE * self._budget)

    @property
    def _prices(self) -> Prices:
        by_key = {candidate.key: candidate for candidate in self._candidates}
        return Prices(by_key, self._ledger.records, self._trials.shares, self._cores)

    def _records(self, candidate: Candidate, rung: str) -> list[Record]:
        of = [r for r in self._ledger.records if (r.candidate, r.rung) == (candidate.key, rung)]
        return [r for r in of if not r.failed]

    def _failed(self, candidate: Candidate) -> bool:
        return any(r.failed for r in self._ledger.records if r.candidate == candidate.key)

    def _points(self, candidates: Sequence[Candidate], rung: str) -> list[Point]:
        points = []
        for candidate in candidates:
            metrics = self._records(candidate, rung)[0].metrics
            costs = {name: metrics[name] for name in COSTS}
            points.append(Point(name=candidate.key, accuracy=metrics["val_accuracy"], costs=costs))
        return points

    @property
    def _spent(self) -> float:
        return self._ledger.seconds

    def _result(self, final: list[Candidate]) -> Result:
        tried: dict[str, tuple[Record, ...]] = {}
        for candidate in self._candidates:
            for rung in ("final", "1", "0", "late"):
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

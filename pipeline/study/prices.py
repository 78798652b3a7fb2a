"""What runs of candidates will take, step by step, so that what several of them share counts once. Pure.

Two candidates share a training step if it and all steps before it have the same parameters: the cache then
holds it for the second, at the same number of examples and with the same seed.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from components.base import UserError
from pipeline.recipe import apply_settings
from pipeline.study import budget
from pipeline.study.budget import Timed
from pipeline.study.ledger import Record
from pipeline.study.techniques import Candidate
from pipeline.study.wiring import Source, wire

_TEACHER = "TeacherTrainer"
# What each training step's outcome depends on beside the data.
_AFTER = {
    _TEACHER: (_TEACHER,),
    "Trainer": ("Trainer",),
    "Pruner": ("Trainer", "Pruner"),
    "Distiller": (_TEACHER, "Trainer", "Pruner", "Distiller"),
    "Quantizer": (_TEACHER, "Trainer", "Pruner", "Distiller", "Quantizer"),
}
# Before anything of the kind was timed.
_UNKNOWN = Timed(examples=8_192, seconds=20.0)
_UNKNOWN_REST_S = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """A run that is thought of.

    Attributes:
        candidate: whose.
        examples: that its Trainer is to see.
        seed: of its training steps.
        rounding: how many times the Quantizer's share of the examples it is to see.
    """

    candidate: Candidate
    examples: int
    seed: int
    rounding: int = 1


_Step = tuple[str, str]  # its id, and all parameters that decide it


class Prices:
    """Prices of runs, in seconds.

    Args:
        candidates: those of the records, by key.
        records: what was run.
        shares: examples that a step sees, as a share of the Trainer's, by its id.
        cores: how many steps run side by side.
    """

    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        records: Sequence[Record],
        shares: Mapping[str, float],
        cores: int,
    ) -> None:
        self._shares = shares
        self._cores = cores
        self._timed: dict[_Step, list[Timed]] = {}
        self._by_id: dict[str, list[Timed]] = {}
        self._done: set[tuple[_Step, int, int, int]] = set()
        rests: list[float] = []
        for record in records:
            if record.failed or record.candidate not in candidates:
                continue
            candidate = candidates[record.candidate]
            known = {id_: s for id_, s in record.step_seconds.items() if id_ in _AFTER}
            for step in _steps(candidate):
                self._done.add((step, record.examples, record.seed, _times(step, record.rounding)))
                if step[0] in known:
                    examples = self._seen(step, record.examples, record.rounding)
                    timed = Timed(examples=examples, seconds=known[step[0]])
                    self._timed.setdefault(step, []).append(timed)
                    self._by_id.setdefault(step[0], []).append(timed)
            # What came from the cache says nothing of what does not.
            if record.rung in ("0", "1", "final") and "Screener" in record.step_seconds:
                rests.append(max(0.0, record.seconds - self._training(known)))
        self._rest = statistics.fmean(rests) if rests else _UNKNOWN_REST_S

    def total(self, runs: Iterable[Planned]) -> float:
        """Seconds that `runs` take one after the other, what they share being trained once."""
        done = set(self._done)
        seconds = 0.0
        for run in runs:
            steps = {}
            for step in _steps(run.candidate):
                times = _times(step, run.rounding)
                mark = (step, run.examples, run.seed, times)
                if mark not in done:
                    steps[step[0]] = self._step(step, self._seen(step, run.examples, run.rounding))
                done.add(mark)
            seconds += self._training(steps) + self._rest
        return seconds

    def _seen(self, step: _Step, examples: int, rounding: int) -> int:
        return round(examples * self._shares[step[0]] * _times(step, rounding))

    def _step(self, step: _Step, examples: int) -> float:
        others = [timed for runs in self._by_id.values() for timed in runs]
        runs = self._timed.get(step) or self._by_id.get(step[0]) or others or [_UNKNOWN]
        return budget.predicted(runs, examples)

    def _training(self, steps: Mapping[str, float]) -> float:
        """Seconds that training steps take in one run: teacher and student are trained side by side."""
        total = sum(steps.values())
        if self._cores > 1 and _TEACHER in steps:
            total -= min(steps[_TEACHER], steps.get("Trainer", 0.0) + steps.get("Pruner", 0.0))
        return total


@functools.cache
def _steps(candidate: Candidate) -> tuple[_Step, ...]:
    """Its training steps; none where it cannot be wired, which its run will say."""
    recipe = wire(Source(root=Path(), data=Path(), keywords=()), candidate.steps, "screen")
    try:
        apply_settings(recipe, candidate.settings)
    except UserError:
        return ()
    trained = {c.id: repr(c.parameters) for c in recipe.components if c.id in _AFTER}
    return tuple(
        (id_, " ".join(trained[before] for before in _AFTER[id_] if before in trained))
        for id_ in trained
    )


def _times(step: _Step, rounding: int) -> int:
    return rounding if step[0] == "Quantizer" else 1

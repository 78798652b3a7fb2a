"""Which candidate is trained at length and released, and which after one that a gate refused. Pure.

A candidate that is released is trained anew, with as many examples as the time affords, up to those of
the keyword recipe. When the gates refuse it:

1. Where it only decides too unlike its float version, its training with rounding goes on for longer: by
   the cache, that costs this one step.
2. Where it was short of what more training mends, and the time affords twice the examples, it is trained
   for longer.
3. Otherwise it is the next candidate's turn, in the order of the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.study import budget
from pipeline.study.ledger import Record
from pipeline.study.prices import Planned
from pipeline.study.techniques import Candidate

# A first attempt leaves some of the time to a second one, which finds much of its training done.
FIRST_SHARE = 0.85
ROUNDING = 2
_UNLIKE = {"int8_agreement", "int8_drop"}
_UNLEARNED = {
    *_UNLIKE,
    "better_than_majority",
    "weakest_label",
    "weakest_speaker",
    "accuracy_floor",
}
_WORTH = 2  # times the examples


def next_attempt(
    ranked: Sequence[Candidate],
    attempts: Sequence[Record],
    seconds: float,
    price: Callable[[Planned], float],
    *,
    least: int,
    most: int,
    seeds: Callable[[Candidate], int],
) -> Planned | None:
    """What to try to release next; None if something was released, or nothing is left to try in the time.

    The first attempt is made whatever it costs: with `least` examples most of it is in the cache.

    Args:
        ranked: those that may be released, the best first.
        attempts: what was tried, in order.
        seconds: that are left.
        price: seconds of an attempt.
        least: examples that all of them saw in the comparison.
        most: examples of a long training.
        seeds: the seed of each.
    """
    if not ranked or any(record.released for record in attempts):
        return None
    by_key = {candidate.key: candidate for candidate in ranked}
    last = attempts[-1] if attempts else None
    if last is not None and last.candidate in by_key and not last.failed:
        again = _longer(by_key[last.candidate], last, seconds, price, most)
        if again is not None:
            return again
    tried = {record.candidate for record in attempts}
    ahead = [candidate for candidate in ranked if candidate.key not in tried]
    for candidate in ahead:
        seed = seeds(candidate)
        share = FIRST_SHARE if candidate is not ahead[-1] else 1.0

        def total(examples: int, candidate: Candidate = candidate, seed: int = seed) -> float:
            return price(Planned(candidate=candidate, examples=examples, seed=seed))

        same = last.examples if last is not None else 0
        if least <= same and total(same) <= seconds:
            return Planned(candidate=candidate, examples=same, seed=seed)
        examples = budget.affordable(total, share * seconds, least=least, most=most)
        if examples or last is None or total(least) <= seconds:
            return Planned(candidate=candidate, examples=examples or least, seed=seed)
    return None


def _longer(
    candidate: Candidate,
    last: Record,
    seconds: float,
    price: Callable[[Planned], float],
    most: int,
) -> Planned | None:
    """The same candidate once more, trained for longer, if that may mend what it was refused for."""
    refused = {refusal.gate for refusal in last.refusals}

    def planned(examples: int, rounding: int) -> Planned:
        return Planned(candidate=candidate, examples=examples, seed=last.seed, rounding=rounding)

    if refused <= _UNLIKE and "Quantizer" in candidate.steps and last.rounding == 1:
        rounded = planned(last.examples, ROUNDING)
        if price(rounded) <= seconds:
            return rounded
    if refused <= _UNLEARNED:
        examples = budget.affordable(
            lambda n: price(planned(n, last.rounding)),
            seconds,
            least=min(most, _WORTH * last.examples),
            most=most,
        )
        if examples >= _WORTH * last.examples:
            return planned(examples, last.rounding)
    return None

"""Who is on the front of a study, and what runs of candidates will take."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.study import budget
from pipeline.study.budget import Timed
from pipeline.study.front import Point, dominates, front, promising, ranked, reduced, spread
from pipeline.study.ledger import Record
from pipeline.study.prices import Planned, Prices
from tests.fixtures.study_world import TECHNIQUES, TRIED, named


def point(name: str, accuracy: float, **costs: float) -> Point:
    return Point(name=name, accuracy=accuracy, costs=costs)


def test_the_front_holds_whom_nobody_beats_in_everything():
    a, b = point("a", 0.9, bytes=20, macs=5), point("b", 0.8, bytes=10, macs=5)
    c, d = point("c", 0.8, bytes=20, macs=9), point("d", 0.8, bytes=10, macs=6)
    assert dominates(a, c)
    assert not dominates(a, b)
    assert not dominates(a, a)
    assert front([c, a, d, b]) == [a, b]
    assert ranked([c, a, d, b], {}) == [a, b, d, c]
    assert ranked([c, a, d, b], {"bytes": 10}) == [b, d, a, c]
    assert [p.name for p in reduced([c, a, d, b], 2, 1, {})] == ["a", "b"]
    assert [p.name for p in reduced([c, a, d, b], 4, 3, {})] == ["a", "b", "d"]


def test_what_is_only_small_is_left_behind():
    good, fair, poor = (point(n, a, bytes=9) for n, a in (("g", 0.6), ("f", 0.3), ("p", 0.29)))
    assert promising([poor, good, fair]) == [good, fair]
    assert promising([]) == []


def test_of_a_long_front_the_ends_are_kept():
    points = [point(str(n), 0.5 + n / 100, bytes=n) for n in range(10)]
    assert [p.name for p in spread(points, 2)] == ["9", "0"]
    assert [p.name for p in spread(points, 3)][2] in ("4", "5")


def test_time_is_predicted_from_what_it_took():
    one = [Timed(examples=8000, seconds=40.0)]
    assert budget.predicted(one, 8000) == pytest.approx(42.0)
    start = 40.0 * 16_384 / 24_384  # it takes as long as so many examples
    assert budget.predicted(one, 80_000) == pytest.approx((start + (40 - start) * 10) * 1.05)
    two = [*one, Timed(examples=16_000, seconds=50.0)]
    assert budget.predicted(two, 80_000) == pytest.approx((50 + 80) * 1.05)
    near = [*one, Timed(examples=8800, seconds=80.0)]
    assert budget.predicted(near, 8800) == pytest.approx(84.0)
    assert budget.predicted(near, 88_000) < 80 * 10

    def total(n: int) -> float:
        return budget.predicted(two, n)

    assert 78_000 < budget.affordable(total, 137.0, least=8000, most=10**6) <= 80_400
    assert budget.affordable(total, 10.0, least=8000, most=10**6) == 0


def test_what_candidates_share_is_paid_once():
    whole = named("pruning, distillation, quantisation-aware training")
    seconds = {
        "TeacherTrainer": 30.0,
        "Trainer": 20.0,
        "Pruner": 5.0,
        "Distiller": 12.0,
        "Quantizer": 9.0,
    }
    record = Record(
        candidate=whole.key, rung="0", seed=1, examples=8000, seconds=80.0, metrics={},
        step_seconds={**seconds, "Converter": 3.0, "Screener": 1.0},
    )  # fmt: skip
    by_key = {c.key: c for c in TRIED}

    def price(cores: int, *runs: tuple[str, int, int]) -> float:
        planned = [Planned(candidate=named(n), examples=e, seed=s) for n, e, s in runs]
        return Prices(by_key, [record], TECHNIQUES.shares, cores).total(planned)

    # 4 s of the run were none of the training's.
    assert price(1, (whole.technique, 8000, 1)) == pytest.approx(4.0)
    assert price(1, ("streaming_resnet", 8000, 1)) == pytest.approx(4.0)
    anew = price(1, (whole.technique, 8000, 2))
    assert anew == pytest.approx(4.0 + 76.0 * 1.05)
    assert price(1, (whole.technique, 8000, 2), ("streaming_resnet", 8000, 2)) == anew + 4.0
    assert price(2, (whole.technique, 8000, 2)) == pytest.approx(29.0 + 51.0 * 1.05)
    rounded = Planned(candidate=whole, examples=8000, seed=1, rounding=2)
    paid = Prices(by_key, [record], TECHNIQUES.shares, 1).total([rounded])
    assert paid == pytest.approx(4.0 + 9.0 * (16_384 + 3200) / (16_384 + 1600) * 1.05)


def test_what_a_run_takes_beside_training_is_not_learned_from_the_cache():
    whole = named("streaming_resnet")
    timed = Record(
        candidate=whole.key, rung="0", seed=1, examples=8000, seconds=30.0, metrics={},
        step_seconds={"Trainer": 20.0, "Converter": 6.0, "Screener": 4.0},
    )  # fmt: skip
    again = dataclasses.replace(timed, rung="final", seconds=0.2, step_seconds={})
    planned = Planned(candidate=whole, examples=8000, seed=2)
    by_key = {whole.key: whole}
    prices = [
        Prices(by_key, records, TECHNIQUES.shares, 1).total([planned])
        for records in ([timed], [again, timed])
    ]
    assert prices == [pytest.approx(20.0 * 1.05 + 10.0)] * 2

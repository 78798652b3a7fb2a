"""The comparison of canaries with controls: what it finds, and how seldom it errs."""

import dataclasses
import math
import random
import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.rollout.errors import PlanError
from fleet.rollout.plan import Group, Plan, decode, encode
from fleet.rollout.quality import (
    METRICS,
    MOST_SLICES,
    Arm,
    Direction,
    Quality,
    Sample,
    Totals,
    breach,
    compare,
    evidence,
    judge,
)

ONE = Quality(metrics=("trigger_rate",))


def sample(arm: Arm, value: float, metric: str = "trigger_rate", **slices: str) -> Sample:
    return Sample(arm=arm, change=True, values={metric: value}, slices=slices)


def fleet(canaries: float, controls: float, devices: int, seed: int = 1, **slices: str):
    """Devices whose rates spread twofold around `canaries` and `controls` (logarithms)."""
    draw = random.Random(seed)
    found = []
    for _ in range(devices):
        found.append(sample(Arm.CANARY, draw.gauss(canaries, 0.7), **slices))
        found.append(sample(Arm.CONTROL, draw.gauss(controls, 0.7), **slices))
    return found


def test_evidence_is_what_its_integral_is():
    assert evidence(0, 0) == 1
    assert evidence(1, 1) == pytest.approx(1.5)  # twice the integral of 2p over [1/2, 1]
    assert evidence(1, 0) == pytest.approx(0.5)
    assert evidence(12, 12) == pytest.approx(630.08, rel=1e-4)
    assert evidence(2000, 1000) < 0.1


@given(st.integers(0, 60), st.data())
def test_the_bet_is_fair(pairs, data):
    """Whatever came so far, the mean over the next pair, which chance decides, is the capital now."""
    worse = data.draw(st.integers(0, pairs))
    after = (evidence(pairs + 1, worse + 1) + evidence(pairs + 1, worse)) / 2
    assert Fraction(after).limit_denominator(10**12) == pytest.approx(evidence(pairs, worse))


def test_a_release_that_triggers_thrice_as_often_is_found_and_named():
    comparisons = compare(ONE, fleet(math.log(6), math.log(2), 30))
    reason = breach(comparisons)
    assert reason.startswith("quality: trigger_rate is 3")
    assert "higher than allowed in" in reason
    assert "of 30 pairs" in reason
    assert not next(c for c in comparisons if c.direction is Direction.LOWER).breach


def test_a_deaf_one_too():
    assert "lower than allowed" in breach(compare(ONE, fleet(math.log(0.5), math.log(2), 30)))


def test_less_than_the_margin_is_no_breach_however_many_devices():
    assert not breach(compare(ONE, fleet(math.log(1.4), 0.0, 1000)))


def test_a_release_that_is_no_worse_is_halted_no_more_often_than_promised():
    """Looked at after every pair, over 40 pairs, at the margin itself: the worst case."""
    halted, runs = 0, 400
    quality = dataclasses.replace(ONE, error_rate=0.2)
    for seed in range(runs):
        devices = fleet(math.log(quality.margin), 0.0, 40, seed)
        halted += any(breach(compare(quality, devices[: 2 * n])) for n in range(1, 41))
    assert halted / runs <= quality.error_rate


def test_a_slice_that_alone_is_worse_is_found():
    good = fleet(0.0, 0.0, 60, hardware="pi-4")
    bad = fleet(math.log(9), 0.0, 24, seed=2, hardware="pi-zero")
    quality = dataclasses.replace(ONE, slices=("hardware",))
    reason = breach(compare(quality, [*good, *bad]))
    assert "trigger_rate where hardware=pi-zero" in reason
    assert not breach(compare(quality, [*good, *fleet(0.0, 0.0, 24, 2, hardware="pi-zero")]))


def test_each_control_is_used_once():
    many = [sample(Arm.CANARY, 5.0)] * 50
    (higher, _) = compare(ONE, [*many, *[sample(Arm.CONTROL, 0.0)] * 3])
    assert (higher.pairs, higher.worse) == (3, 3)
    assert compare(ONE, many) == []


def test_changes_are_held_against_changes():
    level = dataclasses.replace(sample(Arm.CANARY, 5.0), change=False)
    assert compare(ONE, [level, sample(Arm.CONTROL, 0.0)]) == []


def test_a_device_that_told_enough_before_is_judged_by_the_change():
    work = Totals(hours=10, triggers=19, crashes=0, inferences=1000, busy_ms=2000.0)
    change, values = judge(ONE, work, Totals(hours=2, triggers=12, inferences=100, busy_ms=600.0))
    assert change
    assert values["trigger_rate"] == pytest.approx(math.log(6.5 / 2.4))
    assert values["latency_ms"] == pytest.approx(math.log(3))
    assert set(values) == {"trigger_rate", "crash_rate", "latency_ms"}
    change, values = judge(ONE, Totals(), Totals(hours=2, anomalies=3))
    assert not change
    assert values == {
        "anomaly_rate": pytest.approx(math.log(2)),
        "crash_rate": pytest.approx(math.log(0.5)),
    }


@pytest.mark.parametrize("before", [Totals(), Totals(hours=40, triggers=0, anomalies=0)])
def test_devices_to_which_nothing_happens_are_alike_however_long_they_were_at_work(before):
    """Where devices report each 50 minutes, controls have 1.7 hours when they are judged, canaries 1."""
    samples = []
    for arm, hours in [(Arm.CANARY, 1.0), (Arm.CONTROL, 1.7)] * 20:
        change, values = judge(
            Quality(), before, Totals(hours=hours, triggers=0, anomalies=0, crashes=0)
        )
        samples.append(Sample(arm=arm, change=change, values=values, slices={}))
    assert breach(compare(Quality(), samples)) == ""


totals = st.builds(
    Totals,
    hours=st.floats(0.01, 1e4),
    triggers=st.none() | st.integers(0, 10**6),
    crashes=st.integers(0, 100),
    inferences=st.integers(0, 10**9),
    busy_ms=st.floats(0, 1e9),
    scores=st.integers(0, 10**6),
    distance=st.none() | st.floats(0, 10),
)


@given(totals, totals)
def test_whatever_is_told_has_finite_values(before, since):
    change, values = judge(ONE, before, since)
    assert change is (before.hours >= ONE.least_hours)
    assert set(values) <= set(METRICS)
    assert all(math.isfinite(value) for value in values.values())
    assert before.plus(since).since(before).hours == pytest.approx(since.hours, abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metrics": ["loudness"]}, "metrics: give some of trigger_rate"),
        ({"error_rate": 0}, "error_rate: give"),
        ({"margin": 0.5}, "margin: give 1 to 1000"),
        ({"colour": 1}, "colour: unknown; a quality has metrics"),
        ([], "quality: give an object"),
        ({"slices": "hardware"}, "slices: give a list of texts"),
    ],
)
def test_a_wrong_plan_says_what_is_wrong(wrong, said):
    plan = encode(Plan(groups=(Group(name="all", percent=100),)))
    assert decode(plan).quality == Quality()
    with pytest.raises(PlanError, match=said):
        decode({**plan, "quality": wrong})


def test_attributes_of_which_each_device_has_its_own_value_cost_no_more_than_others():
    """At most a thousand devices of each side are compared: that must not hold up the server."""
    names = [f"serial-{n}" for n in range(5)]
    quality = dataclasses.replace(ONE, slices=tuple(names))

    def seconds(value: Callable[[int], str]) -> float:
        samples = [
            sample(arm, 0.0, **{name: f"{arm}-{value(n)}" for name in names})
            for n in range(1000)
            for arm in Arm
        ]
        began = time.process_time()
        compare(quality, samples)
        return time.process_time() - began

    shared = min(seconds(lambda _: "one") for _ in range(3))
    own = min(seconds(str) for _ in range(3))
    assert own < 5 * shared  # compared slice by slice it took 100 times as long


def test_they_hide_no_slice_that_is_worse():
    quality = dataclasses.replace(ONE, slices=("serial", "hardware"))
    draw = random.Random(3)
    samples = []
    for number in range(200):
        hardware = "pi-4" if number % 2 else "pi-5"
        for arm in Arm:
            mean = 1.2 if hardware == "pi-5" and arm is Arm.CANARY else 0.0
            mine = {"serial": f"{arm}-{number}", "hardware": hardware}
            samples.append(sample(arm, draw.gauss(mean, 0.7), **mine))
    found = compare(quality, samples)
    assert {c.slice for c in found} == {"", "hardware=pi-4", "hardware=pi-5"}
    assert "hardware=pi-5" in {c.slice for c in found if c.breach}


def test_no_more_slices_are_compared_than_a_person_could_read():
    quality = dataclasses.replace(ONE, slices=("serial",))
    pairs = [sample(arm, 0.0, serial=str(n)) for n in range(2 * MOST_SLICES) for arm in Arm]
    slices = [c.slice for c in compare(quality, pairs) if c.direction is Direction.HIGHER]
    assert slices == ["", *(f"serial={n}" for n in range(MOST_SLICES))]
    earlier = compare(quality, pairs[: 2 * MOST_SLICES])
    assert compare(quality, pairs)[2:4] == earlier[2:4]  # what comes later moves no limit

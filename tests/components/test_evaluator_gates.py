"""The gates on quality: what they are held against, and what they advise."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from components.evaluator import gates
from components.evaluator.component import EvaluatorParameters
from components.evaluator.paired import PairedComparison

PAIRED = PairedComparison(
    clips=100,
    views=10,
    float_accuracy=0.9,
    int8_accuracy=0.9,
    drop=0.0,
    drop_upper_95=0.005,
    agreement=0.99,
)


def evaluation(**changes: Any) -> dict[str, Any]:
    return {
        "int8_accuracy": 0.9,
        "n": 200,
        "per_label": {
            "yes": {"recall": 0.9, "n": 100},
            "no": {"recall": 0.5, "n": 100},
            "never": {"recall": 0.0, "n": 0},
        },
        "per_speaker": {
            "anna": {"accuracy": 0.6, "n": 8},
            "brief": {"accuracy": 0.0, "n": 7},
        },
        "baselines": {"majority": 0.5, "last_release": None},
        **changes,
    }


def decide(
    content: dict[str, Any] | None = None,
    paired: PairedComparison = PAIRED,
    **parameters: Any,
) -> dict[str, Any]:
    decided = gates.decide(content or evaluation(), paired, EvaluatorParameters(**parameters))
    assert len({gate.name for gate in decided}) == len(decided)
    return {gate.name: gate for gate in decided}


def test_a_good_model_passes_every_gate():
    decided = decide()
    assert all(gate.passed and gate.advice for gate in decided.values())
    assert set(decided) == {
        "int8_drop", "int8_agreement", "better_than_majority", "weakest_label", "weakest_speaker",
    }  # fmt: skip


@pytest.mark.parametrize(("bound", "passed"), [(0.01, True), (0.0101, False), (-0.5, True)])
def test_the_upper_bound_of_the_drop_decides(bound, passed):
    gate = decide(paired=dataclasses.replace(PAIRED, drop=0.0, drop_upper_95=bound))["int8_drop"]
    assert (gate.passed, gate.value, gate.limit) == (passed, bound, 0.01)


@pytest.mark.parametrize(("share", "passed"), [(0.97, True), (0.9699, False)])
def test_int8_must_decide_as_float(share, passed):
    paired = dataclasses.replace(PAIRED, agreement=share)
    assert decide(paired=paired)["int8_agreement"].passed is passed


def test_a_model_must_surely_be_better_than_the_commonest_label():
    few = evaluation(int8_accuracy=0.6, n=10)
    gate = decide(few)["better_than_majority"]
    assert not gate.passed
    assert gate.value < 0.5 < 0.6
    assert decide(evaluation(int8_accuracy=0.6, n=1000))["better_than_majority"].passed


@pytest.mark.parametrize(("last", "passed"), [(0.91, True), (0.93, False), (0.5, True)])
def test_a_release_may_not_fall_behind_the_last_one(last, passed):
    content = evaluation(baselines={"majority": 0.5, "last_release": last})
    assert decide(content)["drop_from_last_release"].passed is passed


def test_the_weakest_label_is_named_and_labels_without_clips_are_not():
    gate = decide(label_floor=0.6)["weakest_label"]
    assert (gate.value, gate.passed, gate.advice) == (0.5, False, "add recordings of no")


def test_the_weakest_speaker_with_enough_clips_counts():
    gate = decide(speaker_floor=0.7)["weakest_speaker"]
    assert (gate.value, gate.passed) == (0.6, False)
    assert "speaker anna" in gate.advice
    nobody = decide(evaluation(per_speaker={"brief": {"accuracy": 0.0, "n": 7}}))
    assert "weakest_speaker" not in nobody


@pytest.mark.parametrize(("floor", "passed"), [(0.9, True), (0.95, False)])
def test_a_floor_for_accuracy_may_be_set(floor, passed):
    assert decide(accuracy_floor=floor)["accuracy_floor"].passed is passed
    assert "accuracy_floor" not in decide()


@pytest.mark.parametrize(
    ("smoothing", "hops"), [(1, (0,)), (2, (0, 1)), (3, (-1, 0, 1)), (4, (-1, 0, 1, 2))]
)
def test_a_clip_is_scored_as_often_as_the_policy_smooths(smoothing, hops):
    assert EvaluatorParameters(smoothing=smoothing).clip_hops == hops


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_frames": 0},
        {"smoothing": 26},
        {"false_accepts_per_hour": -1.0},
        {"smoothings": ()},
        {"smoothings": (3, 26)},
        {"refractories_ms": (-1,)},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        EvaluatorParameters(**wrong)


@pytest.mark.parametrize(
    ("sparing", "advice"),
    [("gate", "--set GateTrainer.kept"), ("early_exit", "--set EarlyExit.agreement")],
)
def test_what_is_lost_for_less_work_is_to_be_had_back_by_sparing_less(sparing, advice):
    worse = dataclasses.replace(PAIRED, drop_upper_95=0.02, agreement=0.9)
    alone, spared = (decide(evaluation(**more), worse) for more in ({}, {sparing: {}}))
    for name in ("int8_drop", "int8_agreement"):
        assert not spared[name].passed
        assert advice in spared[name].advice
        assert advice not in alone[name].advice

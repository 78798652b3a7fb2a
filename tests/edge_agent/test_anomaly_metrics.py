"""Metrics of anomalies: held against their definitions by brute force, and against sums by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_agent.anomaly import nab
from edge_agent.anomaly.metrics import AlarmTally, alarm_quality, pr_auc, roc_auc, stretches

LABELLED = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(float, n, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0])),
        hnp.arrays(bool, n),
    )
)


@given(LABELLED)
def test_roc_auc_is_the_chance_of_the_right_order(given_rows):
    scores, labels = given_rows
    pairs = [
        (a > b) + 0.5 * (a == b) for a in scores[labels].tolist() for b in scores[~labels].tolist()
    ]
    found = roc_auc(scores, labels)
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@given(LABELLED)
def test_average_precision_is_the_sum_over_thresholds(given_rows):
    scores, labels = given_rows
    expected, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        said = scores >= threshold
        now = (said & labels).sum() / max(1, labels.sum())
        expected += (now - recall) * (said & labels).sum() / said.sum()
        recall = now
    assert pr_auc(scores, labels) == (pytest.approx(expected) if labels.any() else None)


def test_alarms_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0, 1, 0], bool)
    on = np.array([0, 1, 0, 0, 0, 1, 1, 1, 0, 0], bool)
    found = alarm_quality(on, labels)
    assert found.false_alarm_rate == pytest.approx(2 / 5)
    assert found.missed_rate == pytest.approx(3 / 5)
    assert found.f1 == pytest.approx(2 * 2 / (5 + 4))
    assert found.delays == (2, None)  # one alarm within a fault does not make all of it found
    assert found.alarms == 2
    assert stretches(labels) == [(3, 7), (8, 9)]


def test_rates_without_rows_of_their_kind_are_none():
    on = np.array([True, False])
    assert alarm_quality(on, np.array([True, True])).false_alarm_rate is None
    assert alarm_quality(on, np.array([False, False])).missed_rate is None


def series(*detections: int, windows=((40, 49),), rows=100) -> nab.Series:
    return nab.Series(rows=rows, windows=windows, detections=np.array(detections, int))


def sigmoid(y: float) -> float:
    return 2 / (1 + math.exp(5 * y)) - 1


STANDARD, LOW_FP, LOW_FN = nab.PROFILES.values()


@pytest.mark.parametrize("profile", nab.PROFILES.values())
def test_silence_is_0_and_the_first_row_of_each_window_100(profile):
    assert nab.score([series()], profile) == 0
    assert nab.score([series(40), series(20, windows=[(20, 29)])], profile) == pytest.approx(100)


def test_a_worked_example():
    """A window of ten rows, found at its fourth, with two false detections and one too early."""
    found = series(5, 30, 43, 47, 54)
    # Row 5 lies within the first 15% and does not count; 43 is found, 47 is found already.
    hit = sigmoid(-(49 - 43 + 1) / 10) / sigmoid(-1)
    before, after = -1.0, sigmoid((54 - 49) / 9)
    assert hit == pytest.approx(0.95415, abs=1e-5)
    assert after == pytest.approx(-0.88293, abs=1e-5)
    for profile in (STANDARD, LOW_FP, LOW_FN):
        raw = hit + profile.false * (before + after)
        assert nab.raw_score(found, profile) == pytest.approx(raw)
        expected = 100 * (raw + profile.miss) / (1 + profile.miss)
        assert nab.score([found], profile) == pytest.approx(expected)
    assert nab.score([found], STANDARD) == pytest.approx(87.351, abs=0.001)


def test_a_missed_window_costs_the_profile_s_weight_and_a_detection_far_away_all_of_it():
    assert nab.raw_score(series(), LOW_FN) == -2.0
    assert nab.raw_score(series(99), STANDARD) == pytest.approx(-1.0 - 0.11)
    assert nab.scaled_sigmoid(0.0) == 0.0
    assert nab.scaled_sigmoid(3.01) == -1.0


def test_the_probation_is_15_percent_and_at_most_750_rows():
    assert [nab.probation(n) for n in (10, 1000, 5000, 20_000)] == [1, 150, 750, 750]


def test_nothing_to_find_is_an_error():
    with pytest.raises(ValueError, match="nothing to score"):
        nab.score([series(windows=())], STANDARD)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.data())
def test_alarms_are_tallied_alike_however_the_stream_is_cut(rows, data):
    on, labels = (np.array([row[i] for row in rows], bool) for i in (0, 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    tally = AlarmTally()
    for begin, end in itertools.pairwise([0, *cuts, len(rows)]):
        tally.take(on[begin:end], labels[begin:end])
    assert tally.quality() == alarm_quality(on, labels)
    raised = [begin for begin, _ in stretches(on)]
    assert tally.quality().alarms == len(raised)
    assert len(tally.quality().delays) == len(stretches(labels))

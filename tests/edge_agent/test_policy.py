"""From probabilities to detections: when a word fires, and above all when it does not."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundle.manifest import DetectionPolicy
from edge_agent.keyword.policy import Detector

LABELS = ("_silence_", "_unknown_", "yes", "no")
HOP_MS = 100.0


def policy(**changes) -> DetectionPolicy:
    figures = {
        "hop_frames": 5,
        "smoothing": 1,
        "thresholds": {"yes": 0.6, "no": 0.6},
        "refractory_ms": 0,
    }
    return DetectionPolicy(**{**figures, **changes})


def run(rows, **changes):
    """What fires on rows of (yes, no) probabilities, one each 100 ms: (place, label)."""
    detector = Detector(policy(**changes), LABELS, HOP_MS)
    found = []
    for place, (yes, no) in enumerate(rows):
        detection = detector.step(place * 0.1, np.array([0.0, 0.0, yes, no], np.float32))
        if detection:
            found.append((place, detection.label))
    return found


def test_a_word_fires_once_while_it_lasts_and_again_after_it_fell():
    rows = [(p, 0.0) for p in (0.1, 0.7, 0.9, 0.7, 0.2, 0.8, 0.9)]
    assert run(rows) == [(1, "yes"), (5, "yes")]


def test_the_threshold_itself_fires():
    assert run([(0.5, 0.0), (0.75, 0.0)], thresholds={"yes": 0.75}) == [(1, "yes")]


def test_refractory_time_holds_back_the_same_word_alone():
    rows = [(0.9, 0.0), (0.0, 0.9), (0.9, 0.0), (0.9, 0.0), (0.9, 0.0)]
    assert run(rows, refractory_ms=350) == [(0, "yes"), (1, "no"), (4, "yes")]


def test_nothing_fires_before_the_average_is_full():
    rows = [(1.0, 0.0)] * 4
    assert run(rows, smoothing=3) == [(2, "yes")]


def test_one_high_inference_does_not_pass_the_average():
    rows = [(0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
    assert run(rows, smoothing=3) == []


def test_the_likelier_of_two_fires_and_the_other_after_it():
    rows = [(0.4, 0.45), (0.4, 0.45), (0.4, 0.45)]
    assert run(rows, thresholds={"yes": 0.3, "no": 0.3}) == [(0, "no"), (1, "yes")]


def test_a_word_without_threshold_and_the_two_others_never_fire():
    thresholds = {"yes": 0.1, "_unknown_": 0.1, "_silence_": 0.1}
    detector = Detector(policy(thresholds=thresholds), LABELS, HOP_MS)
    assert detector.step(0.0, np.array([0.9, 0.9, 0.0, 0.9])) is None


def test_time_is_the_middle_of_the_average_and_score_its_height():
    detector = Detector(policy(smoothing=3), LABELS, HOP_MS)
    rows = [0.6, 0.9, 0.9]
    found = [detector.step(5.0 + i / 10, np.array([0, 0, p, 0])) for i, p in enumerate(rows)]
    assert found[:2] == [None, None]
    assert found[2].time_s == pytest.approx(5.1)
    assert found[2].score == pytest.approx(0.8)


@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60),
    smoothing=st.integers(1, 4),
    refractory_ms=st.integers(0, 1_000),
)
def test_the_rules_hold_on_any_stream(rows, smoothing, refractory_ms):
    found = run(rows, smoothing=smoothing, refractory_ms=refractory_ms)
    for column, label in ((0, "yes"), (1, "no")):
        values = np.array([row[column] for row in rows])
        averages = {
            i: float(np.mean(values[i + 1 - smoothing : i + 1]))
            for i in range(smoothing - 1, len(rows))
        }
        places = [i for i, name in found if name == label]
        assert all(averages[i] >= 0.6 - 1e-6 for i in places)
        for earlier, later in itertools.pairwise(places):
            assert (later - earlier) * 100 >= refractory_ms - 1e-6
            assert min(averages[i] for i in range(earlier, later)) < 0.6 + 1e-6
    assert len({i for i, _ in found}) == len(found)

"""Detections on continuous streams, and counts of decisions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.evaluator import streams, summary
from components.evaluator.streams import Operating, Stream
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, DetectionPolicy
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features

POLICY = DetectionPolicy(
    hop_frames=2, smoothing=3, thresholds={}, refractory_ms=500, clip_hops=(-1, 0, 1)
)
HOP_S = 0.04


def stream(rows: int, *words: tuple[int, int, str], spans=()) -> Stream:
    """Silence, in which the words given are certain from one row to another."""
    probabilities = np.zeros((rows, len(LABELS)), np.float32)
    probabilities[:, LABELS.index(SILENCE)] = 1.0
    for start, end, label in words:
        probabilities[start:end] = np.eye(len(LABELS))[LABELS.index(label)]
    return Stream(probabilities=probabilities, hop_s=HOP_S, words=tuple(spans))


def with_threshold(threshold: float) -> DetectionPolicy:
    return dataclasses.replace(POLICY, thresholds=dict.fromkeys(("no", "yes"), threshold))


def operate(negative: Stream, positive: Stream, threshold: float = 0.8) -> Operating:
    return streams.operate(negative, positive, with_threshold(threshold), LABELS)


def test_a_word_is_counted_once():
    found = streams.detections(stream(100, (20, 30, "yes")), with_threshold(0.8), LABELS)
    assert found == [(22, "yes")]


def test_words_found_and_missed():
    spans = [(20, 40, "yes"), (50, 70, "no"), (80, 99, "yes")]
    positive = stream(100, (22, 30, "yes"), (52, 60, "yes"), spans=spans)
    found = operate(stream(900), positive)
    assert found.false_rejects == pytest.approx(2 / 3)
    assert found.false_accepts_per_hour == 0.0


def test_a_word_found_outside_its_time_is_missed():
    positive = stream(100, (60, 70, "yes"), spans=[(20, 60, "yes")])
    assert operate(stream(900), positive).false_rejects == 1.0


def test_false_accepts_are_counted_by_the_hour():
    negative = stream(900, (100, 110, "yes"), (300, 310, "no"), (500, 510, UNKNOWN))
    assert negative.hours == pytest.approx(0.01)
    assert operate(negative, stream(10)).false_accepts_per_hour == pytest.approx(200.0)


def test_one_short_burst_is_smoothed_away():
    negative = stream(900, (100, 102, "yes"))
    assert operate(negative, stream(10)).false_accepts_per_hour == 0.0
    assert operate(negative, stream(10), threshold=0.6).false_accepts_per_hour > 0.0


def test_streams_without_anything_in_them_give_no_rate():
    assert operate(stream(0), stream(0)) == Operating(false_accepts_per_hour=0.0, false_rejects=0.0)


def test_streams_are_made_of_the_clips_frames_end_to_end(tmp_path):
    features = write_features(tmp_path, views=2)
    split = features.split("val")
    scored: list[np.ndarray] = []

    def score(windows: np.ndarray) -> np.ndarray:
        scored.append(windows)
        return np.full((len(windows), len(LABELS)), 0.25, np.float32)

    negative, positive = streams.make_streams(features, split, score, 2)
    clips = 8
    assert [w.shape[1:] for w in scored] == [(FRAMES, CHANNELS)] * 2
    frames = 2 * clips * 3 * FRAMES
    assert len(negative.probabilities) == (frames - FRAMES) // 2 + 1
    assert len(positive.words) == 2 * clips * 2
    assert {label for _, _, label in positive.words} == {"no", "yes"}
    # The first window is the first clip that is no keyword; window FRAMES / 2 the next clip of them.
    first = (split.label <= LABELS.index(UNKNOWN)) & (split.view == 0)
    others = features.centred(split.codes[first])
    assert np.array_equal(scored[0][0], others[0])
    assert np.array_equal(scored[0][FRAMES // 2], others[1])
    for start, end, label in positive.words:
        whole = next(
            row
            for row in range(start, end)
            if any(
                np.array_equal(scored[1][row], clip)
                for clip in features.centred(split.codes[split.label == LABELS.index(label)])
            )
        )
        assert start <= whole < end


def test_decisions_are_counted_by_label_and_speaker():
    truth, said = np.asarray([0, 0, 1, 2, 2, 2]), np.asarray([0, 1, 1, 2, 0, 2])
    counts = summary.confusion(truth, said, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    labels = summary.per_label(counts, LABELS)
    assert labels[LABELS[2]] == {"recall": pytest.approx(2 / 3), "precision": 1.0, "n": 3}
    assert labels[LABELS[3]] == {"recall": 0.0, "precision": 0.0, "n": 0}
    speakers = summary.per_speaker(truth == said, ["b", "a", "b", "", "a", ""])
    assert speakers == {"a": {"accuracy": 0.0, "n": 2}, "b": {"accuracy": 1.0, "n": 2}}
    assert list(speakers) == ["a", "b"]


def test_the_surest_mistakes_come_first():
    probabilities = np.asarray([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
    clips = {"paths": list("abcd"), "digests": list("efgh")}
    worst = summary.worst_mistakes(np.asarray([1, 1, 1, 0]), probabilities, ("x", "y"), clips, 2)
    assert worst == [
        {"path": "b", "digest": "f", "truth": "y", "said": "x", "probability": 0.9},
        {"path": "d", "digest": "h", "truth": "x", "said": "y", "probability": 0.7},
    ]


def test_the_range_of_scores_is_over_speakers():
    top = np.asarray([0.5, 0.7, 0.9], np.float32)
    assert summary.score_range(top, ["a", "a", "b"]) == pytest.approx([0.6, 0.9])

"""The bounds within which thresholds follow a room, and what that gives in rooms other than the bundle's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.evaluator.component import EvaluatorParameters
from components.evaluator.policy import Choices, choose
from components.evaluator.room import room_bounds
from components.evaluator.streams import Stream
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, DetectionPolicy
from edge_agent.keyword.policy import Detector
from edge_agent.keyword.room import Room

LABELS = (SILENCE, UNKNOWN, "yes", "no")
HOP_S = 0.06
TARGET = 100.0
POLICY = DetectionPolicy(hop_frames=3, smoothing=3, thresholds={}, refractory_ms=500)


def sound(seed: int, hours: float, occasions: int) -> Stream:
    """Now and then something resembles a word, `occasions` times an hour for each."""
    rng = np.random.default_rng(seed)
    rows = round(hours * 3600 / HOP_S)
    found = rng.uniform(0.0, 0.1, (rows, len(LABELS)))
    for place in (2, 3):
        for start in rng.integers(0, rows - 20, round(occasions * hours)):
            height = 1.0 / (1.0 + np.exp(-rng.normal(0.0, 1.0)))
            found[start : start + 8, place] = height
    return Stream(probabilities=found.astype(np.float32), hop_s=HOP_S)


@pytest.fixture(scope="module")
def policy() -> DetectionPolicy:
    """Chosen where 400 occasions an hour come for each word."""
    negative = sound(1, 1.0, 400)
    words = sound(2, 0.1, 0)
    choices = Choices(smoothings=(3,), refractories_ms=(500,))
    chosen = choose(negative, words, POLICY, LABELS, choices, TARGET)
    bounds = room_bounds(negative, words, chosen, LABELS, TARGET, (0.25, 2.0), 0.5)
    return dataclasses.replace(chosen, room=bounds)


def accepted(policy: DetectionPolicy, stream: Stream, room: Room | None) -> float:
    detector = Detector(policy, LABELS, 1000 * stream.hop_s, room)
    rows = enumerate(stream.probabilities)
    found = [detector.step(row * HOP_S, probabilities) for row, probabilities in rows]
    return sum(detection is not None for detection in found) / stream.hours


def test_the_bounds_lie_on_both_sides_of_what_was_chosen(policy):
    for label, threshold in policy.thresholds.items():
        assert policy.room.lowest[label] < threshold < policy.room.highest[label]
    assert 50 < policy.room.near_per_hour < 200


@pytest.mark.parametrize(("occasions", "shipped"), [(250, 0.6), (800, 2.0)])
def test_in_another_room_the_accepts_come_nearer_to_what_was_asked_for(policy, occasions, shipped):
    stream = sound(5, 3.0, occasions)
    room = Room(policy, policy.room)
    accepted(policy, stream, room)  # until it knows the room
    alone, followed = accepted(policy, stream, None), accepted(policy, stream, room)
    assert alone == pytest.approx(shipped * TARGET, rel=0.25)
    assert abs(followed - TARGET) < 0.6 * abs(alone - TARGET)


def test_where_there_is_nothing_to_go_by_there_are_no_bounds(policy):
    quiet = sound(3, 1.0, 0)
    assert room_bounds(quiet, quiet, policy, LABELS, TARGET, (0.25, 2.0), 24.0) is None


@pytest.mark.parametrize("accepts", [(0.5,), (1.0, 2.0), (0.5, 1.0), (0.0, 2.0), (2.0, 0.5)])
def test_parameters_that_bound_nothing_are_refused(accepts):
    with pytest.raises(ValueError, match="room_accepts"):
        EvaluatorParameters(room_accepts=accepts)

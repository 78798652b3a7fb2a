"""The paired comparison of two models, and the lower bound of a share."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from components.evaluator.paired import compare, lower_bound


def test_golden_numbers_of_four_clips_in_two_views():
    truth = np.zeros(8, np.int64)
    first = np.asarray([0, 0, 0, 0, 0, 0, 1, 1])
    second = np.asarray([0, 1, 0, 0, 0, 0, 1, 0])
    clip = np.asarray([5, 5, 7, 7, 8, 8, 9, 9])
    found = compare(truth, first, second, clip)
    # Differences a clip: 1/2, 0, 0, -1/2; their standard deviation is sqrt(1/6).
    assert (found.clips, found.views) == (4, 2)
    assert (found.float_accuracy, found.int8_accuracy) == (0.75, 0.75)
    assert found.drop == 0.0
    assert found.drop_upper_95 == pytest.approx(1.644854 * math.sqrt(1 / 6) / 2)
    assert found.agreement == 0.75


def test_the_order_of_the_rows_does_not_count():
    rng = np.random.default_rng(1)
    truth, first, second = rng.integers(0, 3, (3, 60))
    clip = np.repeat(np.arange(20), 3)
    order = rng.permutation(60)
    found = compare(truth, first, second, clip)
    again = compare(truth[order], first[order], second[order], clip[order])
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(again))


def test_equal_models_lose_nothing():
    said = np.asarray([0, 1, 2, 0])
    found = compare(np.asarray([0, 1, 1, 1]), said, said, np.arange(4))
    assert (found.drop, found.drop_upper_95, found.agreement) == (0.0, 0.0, 1.0)


def test_views_of_one_clip_count_as_one_when_they_err_together():
    """Ten views that all fail alike say no more than one; who counted them singly would be sure."""
    clips, views = 40, 10
    truth = np.zeros(clips * views, np.int64)
    clip = np.repeat(np.arange(clips), views)
    second = (clip % 8 == 0).astype(np.int64)
    clustered = compare(truth, truth, second, clip)
    naive = compare(truth, truth, second, np.arange(clips * views))
    assert clustered.drop == naive.drop == pytest.approx(0.125)
    wide, narrow = (c.drop_upper_95 - c.drop for c in (clustered, naive))
    assert wide == pytest.approx(math.sqrt(views) * narrow, rel=0.02)


def test_one_clip_proves_nothing():
    found = compare(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3, np.int64))
    assert found.drop_upper_95 > 1.0


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (5, 10), (90, 100), (1, 3)])
def test_the_lower_bound_is_wilsons(right, n):
    two_sided = scipy.stats.binomtest(right, n).proportion_ci(0.9, "wilson")
    assert lower_bound(right, n) == pytest.approx(two_sided.low, abs=1e-9)
    assert lower_bound(0, 0) == 0.0


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_lower_bound_is_below_the_share(counts):
    right, n = counts
    assert -1e-12 <= lower_bound(right, n) <= right / n

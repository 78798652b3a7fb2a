"""Thresholds keep their rate; the tail agrees with SciPy's; alarms follow their rules."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import genpareto

from edge_agent.anomaly import pareto
from edge_agent.anomaly.alarm import Alarm, AlarmPolicy
from edge_agent.anomaly.threshold import ThresholdRule, threshold


@pytest.mark.parametrize("shape", [-0.4, -0.2, 0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("scale", [0.01, 3.0])
def test_the_tail_is_at_least_as_likely_as_scipy_s_fit(shape, scale):
    excesses = genpareto.rvs(shape, scale=scale, size=400, random_state=1)
    ours = pareto.fit(excesses)
    theirs_shape, _, theirs_scale = genpareto.fit(excesses, floc=0)
    theirs = genpareto.logpdf(excesses, theirs_shape, scale=theirs_scale).sum()
    logged = genpareto.logpdf(excesses, ours.shape, scale=ours.scale).sum()
    assert ours.log_likelihood(excesses) == pytest.approx(logged, rel=1e-6)
    assert logged >= theirs - 1e-3
    assert ours.shape == pytest.approx(shape, abs=0.2)
    assert ours.scale == pytest.approx(scale, rel=0.25)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 1e-9, 0.4])
def test_quantiles_are_those_of_the_distribution(shape):
    tail = pareto.Pareto(shape=shape, scale=2.0)
    for share in (0.5, 0.1, 1e-3):
        expected = genpareto.isf(share, shape, scale=2.0)
        assert tail.quantile_above(share) == pytest.approx(expected, rel=1e-5)
    assert tail.quantile_above(1.0) == 0.0


def test_peaks_over_a_threshold_keep_a_rate_that_the_rows_are_too_few_to_show():
    random = np.random.default_rng(0)
    rule = ThresholdRule(kind="peaks", rate=1e-4, tail=0.05)
    found = [threshold(random.standard_exponential(2000), rule) for _ in range(20)]
    rates = np.exp(-np.array(found))  # of an exponential, the share above a threshold
    assert 3e-5 < math.exp(np.log(rates).mean()) < 3e-4


def test_the_quantile_is_the_quantile_and_the_margin_is_added():
    scores = np.arange(1001.0)
    assert threshold(scores, ThresholdRule(kind="quantile", rate=0.1)) == 900.0
    assert threshold(scores, ThresholdRule(kind="quantile", rate=0.1, margin=5)) == 905.0


def test_a_tail_that_cannot_be_fitted_gives_the_largest_score():
    rule = ThresholdRule(rate=0.001)
    assert threshold(np.full(500, 3.0), rule) == 3.0
    assert threshold(np.array([1.0, 2.0]), rule) == 2.0


@pytest.mark.parametrize("scores", [[], [1.0, math.nan], [math.inf]])
def test_scores_that_are_none_are_refused(scores):
    with pytest.raises(ValueError, match="finite scores"):
        threshold(np.array(scores), ThresholdRule())
    with pytest.raises(ValueError, match="excesses"):
        pareto.fit(np.array(scores))


def alarms(policy: AlarmPolicy, scores: list[float]) -> str:
    return "".join("x" if on else "." for on in Alarm(policy).process(scores, 1.0))


def test_persistence_hysteresis_and_rest_by_hand():
    scores = [0, 1, 0, 1, 1, 1, 0.7, 0.7, 0.4, 1, 0.4, 0.4, 1, 1, 1, 1, 0]
    assert alarms(AlarmPolicy(), scores) == ".x.xxx...x..xxxx."
    assert alarms(AlarmPolicy(persistence=2), scores) == "....xx.......xxx."
    assert alarms(AlarmPolicy(hysteresis=0.5), scores) == ".x.xxxxx.x..xxxx."
    policy = AlarmPolicy(persistence=2, hysteresis=0.5, release=2, refractory=2)
    assert alarms(policy, scores) == "....xxxxxxx....xx"


@given(
    scores=st.lists(st.sampled_from([0.0, 0.4, 0.7, 1.0, 2.0]), max_size=60),
    persistence=st.integers(1, 4),
    hysteresis=st.sampled_from([0.5, 1.0]),
    release=st.integers(1, 4),
    refractory=st.integers(0, 5),
)
def test_the_rules_hold_for_any_scores(scores, persistence, hysteresis, release, refractory):
    policy = AlarmPolicy(
        persistence=persistence, hysteresis=hysteresis, release=release, refractory=refractory
    )
    on = Alarm(policy).process(scores, 1.0)
    begins = [i for i in range(len(on)) if on[i] and not (i and on[i - 1])]
    ends = [i for i in range(1, len(on)) if on[i - 1] and not on[i]]
    for begin in begins:
        assert begin >= persistence - 1
        assert min(scores[begin - persistence + 1 : begin + 1]) >= 1.0
    for end in ends:
        assert max(scores[end - release + 1 : end + 1]) < hysteresis
    for end, begin in zip(ends, begins[1:], strict=False):
        assert begin - end >= refractory + persistence


@pytest.mark.parametrize(
    "make",
    [
        lambda: ThresholdRule(rate=0.0),
        lambda: ThresholdRule(tail=0.6),
        lambda: ThresholdRule(margin=-1.0),
        lambda: AlarmPolicy(persistence=0),
        lambda: AlarmPolicy(hysteresis=0.0),
        lambda: AlarmPolicy(refractory=-1),
    ],
)
def test_settings_that_cannot_be_used_are_refused(make):
    with pytest.raises(ValueError, match=r"\w"):
        make()

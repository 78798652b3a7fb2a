"""A stream's scores: the same in any pieces, with warm-up per machine and bounded adaptation."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.anomaly.adaptation import AdaptationSettings
from edge_agent.anomaly.alarm import AlarmPolicy
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.gaussian import GaussianSettings
from edge_agent.anomaly.pca import PcaSettings
from edge_agent.anomaly.scoring import NO_CHANNEL, PARTS, Scorer, ScoringSettings
from edge_agent.anomaly.threshold import ThresholdRule
from edge_agent.anomaly.wandering import Wandering, WanderingSettings
from edge_agent.anomaly.zscore import ZScoreSettings
from tests.fixtures.anomaly_bundles import SETTINGS, machine_rows

ADAPTING = dataclasses.replace(
    SETTINGS, adaptation=AdaptationSettings(period=200, rate=0.1, centre_drift=1.0)
)
KINDS = {
    "plain": SETTINGS,
    "per machine": dataclasses.replace(
        SETTINGS, warm_up_rows=200, per_machine=PARTS, wandering=WanderingSettings(limit=5.0)
    ),
    "normaliser alone": dataclasses.replace(
        SETTINGS, warm_up_rows=200, per_machine=("normaliser",), normaliser="robust"
    ),
    "adapting": ADAPTING,
    "without what is gone": dataclasses.replace(
        SETTINGS, warm_up_rows=200, per_machine=PARTS, hold_rows=3, senses=((0, 1), (2,))
    ),
    "adapting to what is left": dataclasses.replace(
        ADAPTING, hold_rows=0, senses=((0, 1), (2,)), wandering=WanderingSettings(limit=5.0)
    ),
    "combined": dataclasses.replace(
        SETTINGS,
        detectors=DetectorSettings(
            pca=PcaSettings(lags=3), gaussian=GaussianSettings(), z_score=ZScoreSettings()
        ),
        warm_up_rows=30,
    ),
}


def learned(chosen: ScoringSettings) -> Scorer:
    scorer = Scorer(chosen)
    scorer.learn(machine_rows(2000))
    return scorer


LEARNED = {kind: learned(chosen) for kind, chosen in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_a_stream_in_any_pieces_is_scored_as_in_one(kind, data):
    rows = machine_rows(data.draw(st.integers(1, 450)), seed=1)
    rows[300:] += [0, 0.5, 0]
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(rows) - 1))
        rows[place, data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([np.nan, np.inf, -np.inf, 1e300, 0.0])
        )
    for _ in range(data.draw(st.integers(0, 3))):
        silent = data.draw(st.integers(0, len(rows)))
        gone = data.draw(st.sampled_from([[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]]))
        rows[silent : silent + data.draw(st.integers(0, 250)), gone] = np.nan
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    scorer = LEARNED[kind]
    scorer.restart()
    whole = scorer.process(rows)
    scorer.restart()
    pieces = [scorer.process(piece) for piece in np.split(rows, cuts)]
    assert np.isfinite(whole.score).all()
    for name in ("score", "shares", "threshold"):
        found = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_allclose(found, getattr(whole, name), rtol=1e-8, atol=1e-8)
    assert np.concatenate([piece.anomaly for piece in pieces]).tolist() == whole.anomaly.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_raises_the_alarm_and_names_its_channel_and_normal_rows_do_not(kind):
    rows = machine_rows(3000, seed=2)
    rows[2000:2100, 2] += 8.0
    scorer = LEARNED[kind]
    scorer.restart()
    found = scorer.process(rows)
    warm_up = KINDS[kind].warm_up_rows
    assert (found.score[:warm_up] == 0).all()
    assert (found.channel[:warm_up] == NO_CHANNEL).all()
    assert not found.anomaly[:2000].any()
    assert found.anomaly[2020:2100].all()
    assert (found.channel[2020:2100] == 2).all()
    np.testing.assert_allclose(found.shares.sum(axis=1), found.score, atol=1e-9)


def test_what_is_per_machine_is_learned_in_the_warm_up_and_the_rest_is_not():
    other = machine_rows(1000, seed=3) * [10.0, 1.0, 1.0] + [0.0, 40.0, 0.0]
    alarms = {}
    for parts in ((), ("normaliser",), PARTS):
        chosen = dataclasses.replace(SETTINGS, warm_up_rows=300, per_machine=parts)
        scorer = learned(chosen)
        alarms[parts] = scorer.process(other).anomaly[300:].mean()
    assert alarms[()] > 0.9
    assert alarms[PARTS] < 0.05
    assert alarms[("normaliser",)] < 0.05


def test_the_warm_up_alone_learns_and_a_fault_after_it_does_not_change_that():
    chosen = dataclasses.replace(SETTINGS, warm_up_rows=300, per_machine=PARTS)
    scorer = learned(chosen)
    rows = machine_rows(700, seed=4)
    scorer.process(rows[:300])
    threshold = scorer.threshold
    scorer.process(rows[300:] * 3)
    assert scorer.threshold == threshold


def test_a_slow_ramp_is_learned_up_to_the_bound_and_alarms_beyond_it():
    rows = machine_rows(40_000, seed=5)
    scale = np.std(machine_rows(2000)[:, 2])
    ramp = rows.copy()
    ramp[:, 2] += np.linspace(0, 20 * scale, len(rows))
    scorer = LEARNED["adapting"]
    scorer.restart()
    found = scorer.process(ramp)
    begun = int(found.anomaly.argmax())
    assert found.anomaly.any()
    # One scale of drift may be learned; the alarm comes while the ramp has risen by a few.
    assert begun / len(rows) * 20 < 8
    assert found.anomaly[-10_000:].all()
    assert (found.channel[-10_000:] == 2).all()
    # Without a bound to speak of the same speed of learning never notices.
    boundless = dataclasses.replace(
        SETTINGS,
        adaptation=AdaptationSettings(
            period=200, rate=0.1, centre_drift=100.0, scale_drift=100.0, threshold_drift=100.0
        ),
    )
    assert not learned(boundless).process(ramp).anomaly.any()


def test_a_season_within_the_bounds_is_learned():
    rows = machine_rows(20_000, seed=6)
    scale = np.std(machine_rows(2000)[:, 2])
    shifted = rows.copy()
    shifted[:, 2] += np.linspace(0, 0.9 * scale, len(rows))
    plain, adapting = LEARNED["plain"], LEARNED["adapting"]
    tails = []
    for scorer in (plain, adapting):
        scorer.restart()
        tails.append(scorer.process(shifted).score[-3000:].mean())
    plain.restart()
    usual = plain.process(rows).score[-3000:].mean()
    assert abs(tails[1] - usual) < 0.5 * abs(tails[0] - usual)


def test_nothing_is_learned_while_the_alarm_is_on_and_revert_takes_all_back():
    rows = machine_rows(3000, seed=7)
    scorer = LEARNED["adapting"]
    scorer.restart()
    scorer.process(rows[:1000])
    failing = rows[1000:2000] + np.array([0, 5.0, 0])
    scorer.process(failing)
    during = scorer.threshold
    scorer.process(failing)
    assert scorer.threshold == during
    scorer.revert()
    assert scorer.threshold == pytest.approx(
        float(LEARNED["adapting"].parameters()["threshold.levels"][0])
    )
    plain = LEARNED["plain"]
    plain.restart()
    scorer.restart()
    scorer.process(rows[:1000])
    scorer.revert()
    plain.process(rows[:1000])
    np.testing.assert_allclose(
        scorer.process(rows[1000:1190]).score[100:],
        plain.process(rows[1000:1190]).score[100:],
        rtol=1e-6,
    )


def test_a_machine_that_stands_still_raises_no_alarm_until_it_moves():
    chosen = dataclasses.replace(
        KINDS["per machine"], threshold=ThresholdRule(stretch=1.0), alarm=AlarmPolicy()
    )
    scorer = learned(chosen)
    still = np.tile([50.0, 2.0, 60.0], (500, 1))
    still[400:, 1] += 0.1
    found = scorer.process(still)
    assert found.threshold[-1] > 0
    assert not found.anomaly[:400].any()
    assert found.anomaly[400:].all()
    assert found.channel[450] == 1


KEEPING = dataclasses.replace(
    ADAPTING,
    warm_up_rows=200,
    per_machine=PARTS,
    adaptation=AdaptationSettings(period=100, rate=0.3, centre_drift=1.0),
)


def test_a_stream_goes_on_from_what_was_kept_without_a_warm_up():
    rows = machine_rows(3000, seed=11)
    rows[:, 2] += np.linspace(0, 0.8, 3000)  # a season: adaptation follows it
    first, second = learned(KEEPING), learned(KEEPING)
    assert first.kept() is None
    first.process(rows[:2000])
    kept = first.kept()
    assert kept
    second.resume(kept)
    assert second.warm
    assert second.drift == pytest.approx(first.drift, rel=1e-4)
    assert second.drift > 0
    # They agree once the rows before the break no longer count.
    ours, theirs = (scorer.process(rows[2000:2100]) for scorer in (second, first))
    np.testing.assert_allclose(ours.threshold, theirs.threshold, rtol=1e-6)
    np.testing.assert_allclose(ours.score[60:], theirs.score[60:], rtol=0.02, atol=0.01)
    assert not ours.anomaly.any()
    second.revert()
    assert second.drift == 0


def test_what_was_kept_stays_within_the_bounds_whatever_it_says():
    scorer = learned(KEEPING)
    scorer.process(machine_rows(400))
    kept = scorer.kept()
    wild = kept | {
        "adapted.centre": kept["adapted.centre"] + 1e6,
        "adapted.shift": np.full(1, 99.0, np.float32),
    }
    scorer.resume(wild)
    assert scorer.drift == pytest.approx(1.0, rel=1e-3)
    base = float(kept["threshold.levels"][0])
    assert scorer.threshold == pytest.approx(base + KEEPING.adaptation.threshold_drift, rel=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"adapted.centre": np.zeros(2, np.float32)},
        {"adapted.shift": np.full(1, np.nan, np.float32)},
        {"normaliser.scale": np.zeros(3, np.float32)},
        {"detector.unknown": np.zeros(3, np.float32)},
        {"normaliser.centre": np.zeros(4, np.float32), "normaliser.scale": np.ones(4, np.float32)},
    ],
)
def test_what_was_kept_of_another_kind_is_refused_and_changes_nothing(change):
    scorer = learned(KEEPING)
    scorer.process(machine_rows(400))
    kept, threshold = scorer.kept(), scorer.threshold
    with pytest.raises(ValueError, match="does not fit the bundle"):
        scorer.resume(kept | change)
    assert scorer.threshold == threshold
    assert scorer.warm


@given(shift=st.floats(-50, 50), seed=st.integers(0, 5), drift=st.sampled_from([0.0, 0.5, 2.0]))
@settings(max_examples=20)
def test_the_threshold_never_leaves_its_bounds(shift, seed, drift):
    chosen = dataclasses.replace(
        SETTINGS, adaptation=AdaptationSettings(period=20, rate=1.0, threshold_drift=drift)
    )
    scorer = Scorer(chosen)
    scorer.load(LEARNED["plain"].parameters())
    shipped = scorer.threshold
    rows = machine_rows(400, seed=seed)
    rows[:, 0] += np.linspace(0, shift, len(rows))
    found = scorer.process(rows)
    assert np.abs(found.threshold - shipped).max() <= drift + 1e-9


def test_wandering_channels_lose_their_slow_mean_and_the_others_nothing():
    random = np.random.default_rng(8)
    rows = random.normal(size=(800, 2))
    rows[:, 1] = np.cumsum(random.normal(size=800))
    wandering = Wandering(WanderingSettings(limit=20.0, alpha=0.05))
    wandering.learn(rows)
    seen = wandering.process(rows)
    np.testing.assert_array_equal(seen[:, 0], rows[:, 0])
    assert seen[:, 1].std() < 0.5 * rows[:, 1].std()
    assert wandering.state_bytes() == 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_a_stream_is_small(kind):
    assert 0 < LEARNED[kind].state_bytes() <= 16 * 1024


def test_parameters_that_do_not_fit_are_refused():
    parameters = LEARNED["plain"].parameters()
    for name, array in parameters.items():
        for broken in (
            {k: v for k, v in parameters.items() if k != name},
            {**parameters, name: np.full_like(array, np.nan)},
            {**parameters, name: array[..., None]},
        ):
            with pytest.raises(ValueError, match="build the bundle again"):
                Scorer(SETTINGS).load(broken)
    wide = {**parameters, "normaliser.scale": np.ones(4, np.float32)}
    with pytest.raises(ValueError, match="do not fit"):
        Scorer(SETTINGS).load({**wide, "normaliser.centre": np.ones(4, np.float32)})


@pytest.mark.parametrize(
    "change",
    [
        {"smoothing": 0.0},
        {"warm_up_rows": -1},
        {"warm_up_rows": 3, "per_machine": PARTS},
    ],
)
def test_settings_that_cannot_be_used_are_refused(change):
    with pytest.raises(ValueError, match=r"smoothing|warm_up_rows"):
        dataclasses.replace(SETTINGS, **change)
    for wrong in ({"period": 5}, {"rate": 0.0}, {"scale_drift": 0.5}, {"threshold_drift": -1.0}):
        with pytest.raises(ValueError, match="adaptation"):
            AdaptationSettings(**wrong)


def test_rules_and_policies_are_those_of_the_settings():
    chosen = dataclasses.replace(
        SETTINGS,
        threshold=ThresholdRule(kind="quantile", rate=0.5),
        alarm=AlarmPolicy(persistence=1),
    )
    assert 0.2 < learned(chosen).process(machine_rows(2000, seed=9)).anomaly.mean() < 0.8

"""Detectors: a stream in any pieces scores as a whole, faults score high, and name their channel."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.anomaly import autoencoder, normaliser
from edge_agent.anomaly.autoencoder import AutoencoderSettings
from edge_agent.anomaly.detectors import DetectorSettings, make_detector
from edge_agent.anomaly.gaussian import GaussianSettings
from edge_agent.anomaly.half_space import HalfSpaceSettings
from edge_agent.anomaly.metrics import roc_auc
from edge_agent.anomaly.pca import PcaSettings
from edge_agent.anomaly.rows import ExponentialMean, Lags
from edge_agent.anomaly.zscore import ZScoreSettings

CHANNELS = 4
SETTINGS = {
    "pca": DetectorSettings(pca=PcaSettings(lags=4, means=(0.2,), variance=0.8)),
    "z_score": DetectorSettings(z_score=ZScoreSettings(alpha=0.3)),
    "plain_z_score": DetectorSettings(z_score=ZScoreSettings(alpha=1.0)),
    "gaussian": DetectorSettings(gaussian=GaussianSettings(alpha=0.01)),
    "gaussians": DetectorSettings(
        gaussian=GaussianSettings(alphas=(0.01, 0.002), shorts=(0.1, 0.05))
    ),
    "half_space": DetectorSettings(half_space=HalfSpaceSettings(trees=25, depth=6)),
    "autoencoder": DetectorSettings(
        autoencoder=AutoencoderSettings(lags=3, hidden=12, bottleneck=4, steps=200)
    ),
    "combination": DetectorSettings(
        pca=PcaSettings(lags=2, variance=0.8), z_score=ZScoreSettings(alpha=0.2)
    ),
}


def normal_rows(count: int, seed: int = 0) -> np.ndarray:
    """Four channels: two that move together, one of its own, one slow wave."""
    random = np.random.default_rng(seed)
    common = random.normal(size=count)
    return np.stack(
        [
            common + 0.1 * random.normal(size=count),
            -common + 0.1 * random.normal(size=count),
            random.normal(size=count),
            np.sin(np.arange(count) / 20) + 0.1 * random.normal(size=count),
        ],
        axis=1,
    )


def learned(name: str):
    detector = make_detector(SETTINGS[name])
    detector.learn(normal_rows(500))
    return detector


LEARNED = {name: learned(name) for name in SETTINGS}


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_stream_in_any_pieces_scores_as_in_one(name, data):
    rows = normal_rows(data.draw(st.integers(1, 200)), seed=1) * 3
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    detector = LEARNED[name]
    detector.restart()
    whole = detector.process(rows)
    detector.restart()
    pieces = np.concatenate([detector.process(piece) for piece in np.split(rows, cuts)])
    np.testing.assert_allclose(pieces, whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_shares_are_never_below_zero_and_a_later_row_changes_no_earlier_score(name):
    rows = normal_rows(300, seed=2)
    detector = LEARNED[name]
    detector.restart()
    before = detector.process(rows)
    assert before.shape == rows.shape
    assert (before >= 0).all()
    detector.restart()
    rows[200:] += 100.0
    np.testing.assert_allclose(detector.process(rows)[:200], before[:200], rtol=1e-9)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("channel", [2, 3])
def test_a_fault_in_one_channel_scores_above_normal_and_names_it(name, channel):
    rows = normal_rows(400, seed=3)
    rows[200:210, channel] += 8.0
    detector = LEARNED[name]
    detector.restart()
    shares = detector.process(rows)
    scores = shares.sum(axis=1)
    assert scores[203:210].mean() > np.quantile(scores[50:200], 0.99)
    assert shares[200:210].sum(axis=0).argmax() == channel


def test_principal_components_see_what_each_channel_alone_does_not():
    rows = normal_rows(400, seed=4)
    rows[200:] = rows[200:][:, [0, 0, 2, 3]]  # the second moves with the first, not against it
    detector = make_detector(DetectorSettings(pca=PcaSettings(lags=1, variance=0.99)))
    detector.learn(normal_rows(500))
    shares = detector.process(rows)
    assert np.median(shares[210:].sum(axis=1)) > 10 * np.median(shares[:200].sum(axis=1))
    assert set(np.argsort(shares[210:].sum(axis=0))[-2:]) == {0, 1}


def test_the_score_of_principal_components_is_t2_and_q_each_over_its_normal_mean():
    random = np.random.default_rng(5)
    rows = random.normal(size=(2000, 3)) @ random.normal(size=(3, 3))
    detector = make_detector(DetectorSettings(pca=PcaSettings(lags=1, variance=0.6)))
    detector.learn(rows)
    seen = (rows - rows[1:].mean(axis=0)) / rows[1:].std(axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(rows[1:].T))
    count = 1 if values[2] / 3 > 0.6 else 2
    plane = vectors[:, ::-1][:, :count]
    inner = seen @ plane
    t2 = (inner**2 / values[::-1][:count]).sum(axis=1)
    q = ((seen - inner @ plane.T) ** 2).sum(axis=1)
    expected = t2 / count + q / values[::-1][count:].sum()
    np.testing.assert_allclose(detector.process(rows).sum(axis=1), expected, rtol=1e-4)


def test_principal_components_of_more_columns_than_rows_are_those_of_all_columns():
    wide = np.random.default_rng(2).normal(size=(60, 40)) @ np.diag(np.linspace(1.0, 3.0, 40))
    detector = make_detector(DetectorSettings(pca=PcaSettings(lags=4, variance=0.5)))
    detector.learn(wide)
    past = Lags(4).process(wide)[4:]
    seen = (past - past.mean(axis=0)) / past.std(axis=0)
    variances = np.linalg.eigvalsh(seen.T @ seen / len(seen))[::-1]
    found = detector.parameters()
    count = len(found["pca.spread"])
    np.testing.assert_allclose(found["pca.spread"], variances[:count], rtol=1e-5)
    plane = found["pca.plane"]
    np.testing.assert_allclose(plane.T @ plane, np.eye(count), atol=1e-5)
    np.testing.assert_allclose(((seen @ plane) ** 2).mean(axis=0), variances[:count], rtol=1e-4)


def test_a_thousand_channels_are_learned_within_the_memory_of_a_small_device():
    rows = np.random.default_rng(3).normal(size=(60, 1000))
    detector = make_detector(DetectorSettings(pca=PcaSettings(lags=8)))
    tracemalloc.start()
    detector.learn(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # a matrix of all columns by all would be 512 MB


def test_trees_score_where_the_normal_rows_are_thin():
    random = np.random.default_rng(6)
    rows = random.normal(size=(2000, 2))
    detector = make_detector(DetectorSettings(half_space=HalfSpaceSettings(trees=100, depth=8)))
    detector.learn(rows)
    middle, edge, outside = detector.process(np.array([[0.0, 0], [2.5, 0], [9, 0]])).sum(axis=1)
    assert middle < edge < outside


def test_several_speeds_score_as_the_mean_of_each():
    rows = normal_rows(600)
    found = {}
    for name, speeds in {
        "both": GaussianSettings(alphas=(0.01, 0.002)),
        "fast": GaussianSettings(alpha=0.01),
        "slow": GaussianSettings(alpha=0.002),
    }.items():
        detector = make_detector(DetectorSettings(gaussian=speeds))
        detector.learn(rows[:300])
        found[name] = detector.process(rows[300:])
    np.testing.assert_allclose(found["both"], (found["fast"] + found["slow"]) / 2, rtol=1e-6)


def test_the_slow_gaussian_follows_a_slow_change_and_the_frozen_score_does_not():
    rows = np.random.default_rng(7).normal(size=(20_000, 1))
    drift = rows + np.linspace(0, 6, len(rows))[:, None]
    found = {}
    for name in ("gaussian", "z_score"):
        detector = make_detector(SETTINGS[name])
        detector.learn(rows[:1000])
        found[name] = np.median(detector.process(drift)[-1000:].sum(axis=1))
    assert found["gaussian"] < 2.0 < 10.0 < found["z_score"]


@pytest.mark.parametrize("name", SETTINGS)
def test_parameters_are_float32_and_another_instance_scores_alike_with_them(name):
    detector, other = LEARNED[name], make_detector(SETTINGS[name])
    parameters = detector.parameters()
    assert {array.dtype for array in parameters.values()} == {np.dtype(np.float32)}
    assert detector.parameter_bytes() == sum(4 * array.size for array in parameters.values())
    other.load(parameters)
    detector.restart()
    rows = normal_rows(100, seed=8)
    np.testing.assert_array_equal(other.process(rows), detector.process(rows))
    assert other.state_bytes() == detector.state_bytes() <= 16 * 1024


@pytest.mark.parametrize("name", SETTINGS)
def test_parameters_that_do_not_fit_are_refused(name):
    for key, array in LEARNED[name].parameters().items():
        broken = {**LEARNED[name].parameters(), key: array[..., None]}
        with pytest.raises(ValueError, match="build the bundle again"):
            make_detector(SETTINGS[name]).load(broken)


@pytest.mark.parametrize("name", SETTINGS)
def test_too_few_or_unfinished_normal_rows_are_refused(name):
    with pytest.raises(ValueError, match="too few"):
        make_detector(SETTINGS[name]).learn(normal_rows(1))
    rows = normal_rows(500)
    rows[3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        make_detector(SETTINGS[name]).learn(rows)


def test_constant_rows_are_learned_and_any_change_is_seen():
    for kind in ("moments", "robust"):
        rows = np.full((400, 2), 5.0)
        fitted = normaliser.fit(rows, kind)
        detector = make_detector(SETTINGS["pca"])
        detector.learn(fitted.apply(rows))
        changed = np.full((10, 2), 5.0)
        changed[5:, 1] = 5.1
        shares = detector.process(fitted.apply(changed))
        assert shares[:5].sum() == 0
        assert shares[5:].sum(axis=1).min() > 1
        assert shares[6].argmax() == 1


def test_the_robust_normaliser_ignores_a_few_wild_rows():
    rows = np.random.default_rng(9).normal(10, 2, size=(1000, 1))
    rows[::50] = 1e6
    fitted = normaliser.fit(rows, "robust")
    assert fitted.centre[0] == pytest.approx(10, abs=0.3)
    # A quarter of the plain deviation is the least, and that the wild rows do move.
    assert fitted.scale[0] < normaliser.fit(rows, "moments").scale[0]


def test_missing_values_count_as_normal_and_do_not_spoil_what_is_learned():
    rows = np.random.default_rng(10).normal(10, 2, size=(1000, 2))
    rows[::7, 0], rows[::11, 0] = np.nan, np.inf
    fitted = normaliser.fit(rows, "moments")
    assert fitted.centre == pytest.approx([10, 10], abs=0.3)
    assert fitted.scale == pytest.approx([2, 2], abs=0.2)
    given_rows = np.array([[np.nan, np.inf], [1e308, 1e29]])
    assert fitted.apply(given_rows).tolist() == [[0, 0], [0, 1e6]]
    empty = normaliser.fit(np.full((10, 1), np.nan), "robust")
    assert np.isfinite([empty.centre, empty.scale]).all()


@given(alpha=st.floats(0.001, 1.0), count=st.integers(1, 300))
def test_the_exponential_mean_is_the_recurrence(alpha, count):
    rows = np.random.default_rng(count).normal(size=(count, 2))
    mean, expected = rows[0], []
    for row in rows:
        mean = mean + alpha * (row - mean)
        expected.append(mean)
    np.testing.assert_allclose(ExponentialMean(alpha).process(rows), expected, atol=1e-12)


def test_lags_put_the_newest_first_and_repeat_the_first_row_before_it():
    rows = np.array([[1.0, 10], [2, 20], [3, 30]])
    assert Lags(3).process(rows).tolist() == [
        [1, 10, 1, 10, 1, 10], [2, 20, 1, 10, 1, 10], [3, 30, 2, 20, 1, 10],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: DetectorSettings(),
        lambda: PcaSettings(lags=0),
        lambda: PcaSettings(lags=65),
        lambda: PcaSettings(means=(0.0,)),
        lambda: PcaSettings(variance=0.0),
        lambda: ZScoreSettings(alpha=0.0),
        lambda: GaussianSettings(alpha=2.0),
        lambda: GaussianSettings(features=("level", "level")),
        lambda: HalfSpaceSettings(trees=0),
        lambda: HalfSpaceSettings(depth=13),
    ],
)
def test_settings_that_cannot_be_used_are_refused(make):
    with pytest.raises(ValueError, match=r"\w"):
        make()


def bent_rows(count: int, seed: int) -> np.ndarray:
    """Three channels: one that wanders, and the square and the sine of it."""
    random = np.random.default_rng(seed)
    angle = random.uniform(-2.0, 2.0, count)
    rows = np.stack([angle, angle**2 - 1.3, np.sin(2 * angle)], axis=1)
    return rows + 0.05 * random.normal(size=rows.shape)


def test_an_autoencoder_follows_a_bent_relation_that_principal_components_do_not():
    broken = bent_rows(300, 2)
    broken[:, 1] = bent_rows(300, 3)[:, 1]
    rows, labels = np.concatenate([bent_rows(300, 1), broken]), np.repeat([False, True], 300)

    def auc(settings: DetectorSettings) -> float:
        detector = make_detector(settings)
        detector.learn(bent_rows(600, 0))
        return roc_auc(detector.process(rows).sum(axis=1), labels)

    straight = auc(DetectorSettings(pca=PcaSettings(lags=1)))
    bent = auc(DetectorSettings(autoencoder=AutoencoderSettings(lags=1, hidden=16, bottleneck=1)))
    assert bent > 0.85
    assert bent > straight + 0.1


def test_the_slopes_of_an_autoencoder_are_those_of_its_error():
    random = np.random.default_rng(4)
    settings = AutoencoderSettings(lags=1, hidden=5, bottleneck=2, steps=1)
    seen = random.normal(size=(20, 3))
    weights = [random.normal(size=w.shape) for w in autoencoder._trained(seen, settings)]

    def error() -> float:
        return float(np.mean((autoencoder._passed(seen, weights)[-1] - seen) ** 2))

    for place, slope in enumerate(autoencoder._slopes(seen, weights)):
        at = tuple(size // 2 for size in slope.shape)
        kept, step = weights[place][at], 1e-5
        weights[place][at] = kept + step
        above = error()
        weights[place][at] = kept - step
        below = error()
        weights[place][at] = kept
        assert slope[at] == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"lags": 0}, "lags"), ({"bottleneck": 40}, "bottleneck <= hidden"), ({"steps": 0}, "steps"),
     ({"learning_rate": 0.0}, "learning_rate"), ({"seed": -1}, "seed")],
)  # fmt: skip
def test_an_autoencoder_s_settings_out_of_range_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        AutoencoderSettings(**wrong)


def test_an_autoencoder_as_it_comes_fits_what_a_stream_may_keep():
    detector = make_detector(DetectorSettings(autoencoder=AutoencoderSettings(steps=1)))
    detector.learn(np.random.default_rng(0).normal(size=(60, 8)))
    # A stream that learns its own detector keeps its parameters too: 16 KB is AnomalyPackager's limit.
    assert detector.state_bytes() + detector.parameter_bytes() < 14 * 1024

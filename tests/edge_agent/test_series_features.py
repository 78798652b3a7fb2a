"""Vibration features: blind to loudness and to a stationary signal's colour, awake to ringing."""

import numpy as np
import pytest

from edge_agent.features.series import VibrationFeatures

RATE = 10_000


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count)


def ringing(count: int, per_second: float) -> np.ndarray:
    """A bearing's fault as in the books: a 3 kHz ring at each pass."""
    signal = np.zeros(count)
    ring = np.exp(-np.arange(100) / 15) * np.sin(2 * np.pi * 3000 / RATE * np.arange(100))
    for begin in np.arange(0, count - 100, RATE / per_second).astype(int):
        signal[begin : begin + 100] += ring
    return signal


def test_kurtosis_is_near_zero_for_any_stationary_noise_and_high_where_it_rings():
    features = VibrationFeatures(sample_rate=RATE, window=10_000, segment=64, bands=8)
    coloured = np.convolve(noise(50_000), np.ones(8) / 8, mode="same")
    for signal in (noise(50_000), coloured):
        assert np.abs(features.of(signal)).max() < 0.6
    found = features.of(noise(50_000) + 10 * ringing(50_000, 40)).mean(axis=0)
    assert found.argmax() == 4  # 2500 to 3125 Hz
    assert found[4] > 3
    assert features.names[4] == "kurtosis 2500 Hz"


def test_loudness_and_offset_change_nothing():
    features = VibrationFeatures(sample_rate=RATE, window=5000, orders=5)
    signal = noise(20_000)
    np.testing.assert_allclose(
        features.of(signal, 20.0), features.of(1e-4 * signal + 3.0, 20.0), atol=1e-6
    )


def test_orders_follow_the_shaft_at_any_speed():
    features = VibrationFeatures(sample_rate=RATE, window=10_000, orders=4)
    time = np.arange(40_000) / RATE
    for speed in (10.0, 25.0):
        signal = np.sin(2 * np.pi * 3 * speed * time) + 0.01 * noise(40_000)
        orders = features.of(signal, speed)[:, -4:]
        assert (orders.argmax(axis=1) == 2).all()


def test_whole_windows_count_and_silence_is_no_error():
    features = VibrationFeatures(sample_rate=RATE, window=1000, segment=64, bands=8)
    assert features.of(noise(2999)).shape == (2, 8) == (2, len(features.names))
    assert features.of(noise(999)).shape == (0, 8)
    assert np.isfinite(features.of(np.zeros(1000))).all()


def test_what_cannot_be_computed_is_refused():
    features = VibrationFeatures(sample_rate=RATE, window=1000, orders=2)
    with pytest.raises(ValueError, match="speed"):
        features.of(noise(1000))
    with pytest.raises(ValueError, match="not finite"):
        features.of(np.full(1000, np.nan))
    for wrong in ({"segment": 300}, {"bands": 64}, {"orders": -1}, {"sample_rate": 0}):
        with pytest.raises(ValueError, match="must be"):
            VibrationFeatures(**{"sample_rate": RATE, "window": 1000, **wrong})

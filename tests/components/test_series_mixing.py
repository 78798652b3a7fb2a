"""A fault mixed into a healthy signal: at the level that is asked for, and of the same speed."""

from __future__ import annotations

import numpy as np
import pytest

from components.series_transform.mixing import mix, partner


@pytest.mark.parametrize("level", [-12.0, 0.0, 6.0])
def test_the_fault_has_the_power_that_is_asked_for(level):
    random = np.random.default_rng(0)
    healthy, fault = random.normal(3.0, 2.0, 9000), random.normal(-5.0, 40.0, 9000)
    added = mix(healthy, fault, level) - (healthy - healthy.mean())
    assert 10 * np.log10((added**2).mean() / healthy.var()) == pytest.approx(level)


def test_silence_stays_silence():
    assert not mix(np.zeros(9), np.zeros(9), -12.0).any()


def test_the_healthy_signal_of_the_same_speed_is_its_partner():
    healthy = ["Normal_600.mat", "Normal_900.mat"]
    assert partner("faults/IR5_900.mat", healthy) == "Normal_900.mat"
    assert partner("faults/IR5.mat", healthy) == "Normal_600.mat"

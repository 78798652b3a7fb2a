"""Views of a clip: at another speed in true pitch, as loud and as noisy as asked, with no seam."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from components.transform.augmentation import ViewParameters, make_views
from components.transform.negatives import Word, make_silence, make_unknown
from components.transform.noise import NOISE_DRAWS, NoiseSource, rms
from components.transform.speed import nearest_speed, play, samples_for

RATE = 16_000
SAMPLES = RATE + 2 * 1_920
PLAIN = ViewParameters(
    speed_low=1.0,
    speed_high=1.0,
    shift_samples=0,
    gain_low_db=0.0,
    gain_high_db=0.0,
    snr_low_db=20.0,
    snr_high_db=20.0,
    quiet_share=1.0,
)


def tone(hertz: float, samples: int) -> np.ndarray:
    at = np.arange(samples) - (samples - 1) / 2
    return (8_000 * np.cos(2 * np.pi * hertz * at / RATE)).astype(np.float32)


def white(seed: int, samples: int = RATE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3_000, samples).astype(np.float32)


def quiet_noise() -> NoiseSource:
    return NoiseSource([], [], RATE, 1)


def views(clip: np.ndarray, count: int, **changes: float) -> list[np.ndarray]:
    asked = dataclasses.replace(PLAIN, **changes)
    rng = np.random.default_rng(3)
    return list(make_views(rng, clip, count, SAMPLES, quiet_noise(), asked))


@pytest.mark.parametrize("speed", [0.25, 0.82, 1.0, 1.22, 3.0])
@pytest.mark.parametrize("hertz", [120.0, 1_000.0, 4_800.0])
def test_a_tone_played_at_a_speed_is_the_tone_at_that_pitch(speed, hertz):
    steps = nearest_speed(speed)
    assert abs(steps / 64 - speed) <= 1 / 128
    pitch = hertz * steps / 64
    heard = play(tone(hertz, samples_for(8_000, steps) + 500), steps, 8_000)
    assert heard.shape == (8_000,)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(8_000)))
    if pitch < 0.9 * RATE / 2:
        assert spectrum.argmax() * RATE / 8_000 == pytest.approx(pitch, abs=2.0)
        assert rms(heard) == pytest.approx(8_000 / math.sqrt(2), rel=0.02)
    elif pitch > 1.15 * RATE / 2:
        assert rms(heard) < 80  # what the rate cannot hold is filtered out, not folded down


def test_speed_one_is_the_wave_itself_and_a_wave_too_short_is_refused():
    for samples in (6_400, 6_410):
        wave = white(1, samples_for(samples, 64))
        reach = (len(wave) - samples) // 2
        np.testing.assert_allclose(play(wave, 64, samples), wave[reach:-reach], atol=0.01)
        with pytest.raises(ValueError, match="needed"):
            play(wave[1:], 64, samples)


@pytest.mark.parametrize("speed", [0.82, 1.22])
def test_a_view_at_a_speed_has_the_clips_middle_in_its_middle(speed):
    clip = np.zeros(RATE, np.float32)
    clip[RATE // 2] = 10_000.0
    made = views(clip, 12, speed_low=speed, speed_high=speed)
    assert {abs(int(view.argmax()) - SAMPLES // 2) for view in made} <= {0, 1}
    shifted = views(clip, 400, speed_low=speed, speed_high=speed, shift_samples=30)
    places = [int(view.argmax()) - SAMPLES // 2 for view in shifted]
    assert -32 < min(places) < -20
    assert 20 < max(places) < 32


def test_shifts_cover_their_range_evenly_and_nothing_beyond():
    clip = np.zeros(RATE, np.float32)
    clip[RATE // 2] = 10_000.0
    places = [int(v.argmax()) - SAMPLES // 2 for v in views(clip, 400, shift_samples=40)]
    assert min(places) >= -40
    assert max(places) <= 40
    assert len(set(places)) > 70
    assert abs(np.mean(places)) < 5


def test_levels_cover_the_range_of_gain_in_decibels():
    clip = white(2)
    (plain,) = views(clip, 1)
    gains = [
        20 * math.log10(rms(v) / rms(plain))
        for v in views(clip, 300, gain_low_db=-10.0, gain_high_db=8.0)
    ]
    assert min(gains) == pytest.approx(-10.0, abs=0.3)
    assert max(gains) == pytest.approx(8.0, abs=0.3)
    assert np.mean(gains) == pytest.approx(-1.0, abs=1.0)


@pytest.mark.parametrize("gain", [-10.0, 6.0])
def test_noise_stands_as_far_below_the_view_as_asked_whatever_the_gain(gain):
    clip = white(4)
    same = {"gain_low_db": gain, "gain_high_db": gain}
    clean = views(clip, 20, **same)
    noisy = views(clip, 20, quiet_share=0.0, snr_low_db=12.0, snr_high_db=12.0, **same)
    for a, b in zip(clean, noisy, strict=True):
        assert 20 * math.log10(rms(a) / rms(b - a)) == pytest.approx(12.0, abs=0.1)


def test_the_share_of_views_without_noise_is_as_asked():
    clip = white(5)
    (plain,) = views(clip, 1)
    untouched = [np.array_equal(v, plain) for v in views(clip, 400, quiet_share=0.25)]
    assert np.mean(untouched) == pytest.approx(0.25, abs=0.08)


def test_beyond_the_clip_a_view_goes_on_at_the_clips_own_level():
    (view,) = views(white(6), 1)
    assert np.array_equal(view[1_920:-1_920], white(6))
    for edge in (view[:1_920], view[-1_920:]):
        assert rms(edge) == pytest.approx(0.7 * 3_000, rel=0.1)


def test_a_clip_longer_than_its_view_keeps_its_middle():
    (view,) = views(white(7, SAMPLES + 200), 1)
    assert np.array_equal(view, white(7, SAMPLES + 200)[100:-100])


def test_each_kind_of_noise_is_drawn_and_its_level_is_told_right():
    noise = NoiseSource([white(8)], [white(n) for n in range(10, 18)], RATE, 1)
    for kind in (0.05, 0.15, 0.5, 0.9):
        wave, level = noise.segment([kind, 0.4, 0.999], SAMPLES)
        assert wave.shape == (SAMPLES,)
        assert level == pytest.approx(float(np.sqrt(np.mean(wave.astype(float) ** 2))), rel=1e-3)
    rng = np.random.default_rng(9)
    pieces = {noise.segment(rng.random(NOISE_DRAWS).tolist(), 100)[0].tobytes() for _ in range(50)}
    assert len(pieces) > 45


def burst(start: int, end: int, seed: int) -> np.ndarray:
    clip = white(seed) * np.float32(0.001)
    clip[start:end] = white(seed)[start:end]
    return clip


def test_the_span_of_a_word_is_where_its_energy_is():
    start, end = Word(burst(5_000, 11_000, 1), "yes").span
    assert start == pytest.approx(5_000, abs=500)
    assert end == pytest.approx(11_000, abs=500)
    assert Word(np.zeros(RATE, np.float32), "yes").span is None
    assert Word(burst(5_000, 5_400, 1), "yes").span is None


def test_a_made_unknown_is_neither_of_the_words_it_is_made_of():
    words = [Word(burst(4_000, 11_000, 1), "yes"), Word(burst(5_000, 12_000, 2), "no")]
    rng = np.random.default_rng(1)
    made = [wave for _ in range(60) if (wave := make_unknown(rng, words)) is not None]
    assert len(made) > 20
    for wave in made:
        assert wave.shape == (RATE,)
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert not any(np.array_equal(wave, word.wave) for word in words)
        assert rms(wave) > 100


def test_made_silence_is_of_any_level_up_to_minus_twelve_decibels():
    rng, noise = np.random.default_rng(2), quiet_noise()
    levels = [rms(make_silence(rng, noise, SAMPLES)) for _ in range(200)]
    assert levels.count(0.0) in range(1, 25)
    heard = [20 * math.log10(level / 32_768) for level in levels if level]
    assert min(heard) < -60
    assert -20 < max(heard) < -8

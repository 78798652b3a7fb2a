"""The front ends: in pieces as in one, and right by an independent, slow reckoning."""

import cmath
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.features.audio import AudioFeatures, clip_codes, front_end

LOG_MEL = AudioFeatures()
MICRO = AudioFeatures(front_end="micro", stride_ms=10)
NOISE = np.random.default_rng(5).normal(0, 2_000, 16_000).astype(np.int16)


@pytest.mark.parametrize(
    ("params", "frames"),
    [(LOG_MEL, 49), (MICRO, 98), (AudioFeatures(stride_ms=30), 33)],
)
def test_a_second_has_as_many_frames_as_promised(params, frames):
    codes = clip_codes(NOISE, params)
    assert codes.shape == (frames, 40)
    assert codes.dtype == np.int8
    assert params.frames_in(16_000) == frames
    assert params.samples_for(frames) <= 16_000 < params.samples_for(frames + 1)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 8_000), max_size=12), params=st.sampled_from([LOG_MEL, MICRO]))
def test_a_stream_in_pieces_gives_the_codes_of_the_whole(cuts, params):
    pcm = NOISE[:8_000]
    places = [0, *sorted(cuts), len(pcm)]
    stream = front_end(params)
    pieces = [stream.process(pcm[a:b]) for a, b in itertools.pairwise(places)]
    np.testing.assert_array_equal(np.concatenate(pieces), clip_codes(pcm, params))


@given(st.integers(0, 3_000))
def test_frames_come_as_soon_as_they_are_whole(samples):
    for params in (LOG_MEL, MICRO):
        assert len(clip_codes(NOISE[:samples], params)) == params.frames_in(samples)


def slow_log_mel(pcm: list[int], p: AudioFeatures) -> list[int]:
    """One frame by the definition: sums instead of matrices, a plain Fourier sum, scalars."""
    size = p.window_samples
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * (n + 0.5) / size) for n in range(size)]
    x = [w * s / 32768 for w, s in zip(hann, pcm, strict=True)]
    points = 512
    turns = [cmath.exp(-2j * math.pi * n / points) for n in range(points)]
    power = [
        abs(sum(x[n] * turns[k * n % points] for n in range(size))) ** 2
        for k in range(points // 2 + 1)
    ]
    low, high = (2595 * math.log10(1 + f / 700) for f in (p.low_hz, p.high_hz))
    mels = [low + (high - low) * i / (p.channels + 1) for i in range(p.channels + 2)]
    edges = [700 * (10 ** (m / 2595) - 1) for m in mels]
    codes = []
    for c in range(p.channels):
        left, peak, right = edges[c : c + 3]
        energy = 0.0
        for k, value in enumerate(power):
            f = k * p.sample_rate / points
            energy += value * max(
                0.0, min((f - left) / (peak - left), (right - f) / (right - peak))
            )
        log = math.log(max(energy, math.exp(p.log_low)))
        scaled = (log - p.log_low) * 255 / (p.log_high - p.log_low) - 128
        codes.append(max(-128, min(127, round(scaled))))
    return codes


@pytest.mark.parametrize("frame", [0, 7])
def test_log_mel_is_what_its_definition_says(frame):
    start = frame * LOG_MEL.stride_samples
    pcm = NOISE[start : start + LOG_MEL.window_samples].tolist()
    found = clip_codes(NOISE, LOG_MEL)[frame].astype(int)
    assert np.abs(found - slow_log_mel(pcm, LOG_MEL)).max() <= 1
    assert np.mean(found == slow_log_mel(pcm, LOG_MEL)) > 0.9


def test_silence_is_the_lowest_code_and_a_tone_peaks_where_its_pitch_is():
    assert (clip_codes(np.zeros(16_000, np.int16), LOG_MEL) == -128).all()
    time = np.arange(16_000) / 16_000
    peaks = [
        clip_codes((8_000 * np.sin(2 * np.pi * f * time)).astype(np.int16), LOG_MEL)[20].argmax()
        for f in (200, 500, 1_000, 2_000, 4_000, 7_000)
    ]
    assert peaks == sorted(set(peaks))


def test_a_front_end_starts_fresh_each_time():
    for params in (LOG_MEL, MICRO):
        np.testing.assert_array_equal(clip_codes(NOISE, params), clip_codes(NOISE, params))


@pytest.mark.parametrize(
    "change",
    [
        {"front_end": "mfcc"},
        {"sample_rate": 4_000},
        {"stride_ms": 0},
        {"stride_ms": 40},
        {"channels": 3},
        {"high_hz": 9_000.0},
        {"low_hz": 7_600.0},
        {"log_low": 9.0},
        {"front_end": "micro"},
    ],
)
def test_parameters_that_make_no_front_end_are_refused(change):
    with pytest.raises(ValueError, match=r"must|fixed"):
        AudioFeatures(**change)

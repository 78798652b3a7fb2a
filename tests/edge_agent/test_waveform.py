"""From samples as recorded to a front end's PCM."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.features.waveform import StreamConformer, conform, fit


def test_every_16_bit_value_passes_through_exactly():
    pcm = np.arange(-32768, 32768).astype(np.int16)
    samples = (pcm.astype(np.float32) / 32768.0)[:, None]
    np.testing.assert_array_equal(conform(samples, 16_000, 16_000), pcm)
    np.testing.assert_array_equal(StreamConformer(16_000, 16_000).process(samples), pcm)


def test_channels_are_averaged():
    samples = np.array([[0.5, 0.25], [-1.0, 1.0]], np.float32)
    assert conform(samples, 16_000, 16_000).tolist() == [12288, 0]


def test_what_lies_beyond_full_scale_is_clipped_however_far():
    samples = np.array([[2.0], [-3e38], [1.0], [-1.0]], np.float32)
    assert conform(samples, 16_000, 16_000).tolist() == [32767, -32768, 32767, -32768]
    loud = np.full((48_000, 2), 3e38, np.float32)
    assert conform(loud, 48_000, 16_000).max() == 32767


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_tone_keeps_its_pitch_level_and_length(rate):
    time = np.arange(rate) / rate
    pcm = conform((0.5 * np.sin(2 * np.pi * 440 * time))[:, None], rate, 16_000)
    assert abs(len(pcm) - 16_000) <= 1
    middle = pcm[4_000:12_000] / 32768.0
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * 2 == 440
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_resampling_the_same_samples_gives_the_same_pcm():
    samples = np.random.default_rng(0).uniform(-1, 1, (44_100, 2)).astype(np.float32)
    first, second = (conform(samples, 44_100, 16_000) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_stream_in_pieces_becomes_what_the_whole_becomes(rate):
    random = np.random.default_rng(1)
    samples = random.uniform(-0.5, 0.5, (rate, 2)).astype(np.float32)
    whole = conform(samples, rate, 16_000)
    conformer = StreamConformer(rate, 16_000)
    cuts = [0, 1, 2, 500, 501, 7_000, rate]
    pieces = [conformer.process(samples[a:b]) for a, b in itertools.pairwise(cuts)]
    stream = np.concatenate([*pieces, conformer.finish()])
    assert abs(len(stream) - len(whole)) <= 1
    shared = min(len(stream), len(whole))
    assert np.abs(stream[:shared].astype(int) - whole[:shared]).max() <= 1


@given(st.integers(0, 60), st.integers(0, 60))
def test_fit_keeps_the_middle(length, samples):
    pcm = np.arange(1, length + 1).astype(np.int16)
    fitted = fit(pcm, samples)
    assert len(fitted) == samples
    assert fitted.dtype == np.int16
    kept = fitted[fitted > 0]
    assert len(kept) == min(length, samples)
    if len(kept):
        dropped_before, dropped_after = kept[0] - 1, length - kept[-1]
        assert dropped_after - dropped_before in (0, 1)
        start = int(np.flatnonzero(fitted)[0])
        assert samples - len(kept) - start - start in (0, 1)

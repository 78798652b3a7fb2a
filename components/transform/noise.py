"""Noise to mix into clips: recorded where there is some, babble of the clips, coloured and hum."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]

# (kind, share of the segments); what there is nothing of goes to coloured noise.
_BABBLE_SHARE = 0.12
_HUM_SHARE = 0.05
_RECORDED_SHARE = 0.5
_VOICES = 6
_BABBLES = 4
_HUMS = 8
_SECONDS = 4
_FLOOR = 1e-6


class NoiseSource:
    """Draws noise of unit power out of pools that are made when the first is wanted.

    Args:
        recorded: noise recordings, each an array of samples; may be empty.
        speech: clips to make babble of; may be empty.
        sample_rate: Hz.
        seed: seed of the pool.
    """

    def __init__(
        self, recorded: Sequence[Wave], speech: Sequence[Wave], sample_rate: int, seed: int
    ) -> None:
        self._source = (recorded, speech, sample_rate, seed)

    @functools.cached_property
    def _pools(self) -> dict[str, list[Wave]]:
        recorded, speech, sample_rate, seed = self._source
        rng = np.random.default_rng(seed)
        samples = _SECONDS * sample_rate
        coloured, hums = _synthesised(samples, sample_rate, seed)
        voices = _BABBLES if len(speech) >= _VOICES else 0
        return {
            "recorded": [_looped(r, samples) for r in recorded if len(r) and np.std(r) > _FLOOR],
            "babble": [_babble(rng, samples, speech) for _ in range(voices)],
            "coloured": coloured,
            "hum": hums,
        }

    def segment(self, rng: np.random.Generator, samples: int) -> Wave:
        """`samples` samples of noise with a root mean square of 1."""
        kind = rng.random()
        if kind < _BABBLE_SHARE:
            pool = self._pools["babble"]
        elif kind < _BABBLE_SHARE + _HUM_SHARE:
            pool = self._pools["hum"]
        elif kind < _BABBLE_SHARE + _HUM_SHARE + _RECORDED_SHARE:
            pool = self._pools["recorded"]
        else:
            pool = self._pools["coloured"]
        pool = pool or self._pools["coloured"]
        noise = _cut(rng, pool[int(rng.integers(len(pool)))], samples)
        return noise * np.float32(1.0 / (_rms(noise) + _FLOOR))


@functools.lru_cache(maxsize=2)
def _synthesised(samples: int, sample_rate: int, seed: int) -> tuple[list[Wave], list[Wave]]:
    """Coloured noises and hums, the same for every shard that a worker sees."""
    rng = np.random.default_rng(seed)
    coloured = [_coloured(rng, 2 * samples, e) for e in (0.0, 0.0, 1.0, 1.0, 2.0, 2.0)]
    return coloured, [_hum(rng, samples, sample_rate) for _ in range(_HUMS)]


def _rms(wave: Wave) -> float:
    return float(np.sqrt(np.dot(wave, wave) / len(wave)))


def _looped(wave: Wave, samples: int) -> Wave:
    """`wave`, played forwards and backwards in turn until it is long enough."""
    if len(wave) >= samples:
        return wave
    return np.resize(np.concatenate([wave, wave[::-1]]), samples)


def _cut(rng: np.random.Generator, wave: Wave, samples: int) -> Wave:
    wave = _looped(wave, samples + 1)
    start = int(rng.integers(len(wave) - samples))
    return wave[start : start + samples]


def _babble(rng: np.random.Generator, samples: int, speech: Sequence[Wave]) -> Wave:
    total = np.zeros(samples, np.float32)
    for i in rng.choice(len(speech), _VOICES, replace=False):
        total += _cut(rng, speech[i], samples) / (np.std(speech[i]) + np.float32(_FLOOR))
    return total


def _hum(rng: np.random.Generator, samples: int, sample_rate: int) -> Wave:
    """Mains hum: a base of 50, 60, 100 or 120 Hz and its harmonics at random levels."""
    time = np.arange(samples) / sample_rate
    base = float(rng.choice([50.0, 60.0, 100.0, 120.0])) * rng.uniform(0.99, 1.01)
    total = np.zeros(samples)
    for harmonic in range(1, 12):
        phase, level = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, 1.0) / harmonic
        total += level * np.sin(2.0 * np.pi * base * harmonic * time + phase)
    return total.astype(np.float32)


def _coloured(rng: np.random.Generator, samples: int, exponent: float) -> Wave:
    """Noise whose power falls with frequency to the power of `exponent`: white, pink or brown."""
    frequencies = np.fft.rfftfreq(samples)
    frequencies[0] = frequencies[1]
    shape = frequencies ** (-exponent / 2.0)
    spectrum = (rng.normal(size=len(shape)) + 1j * rng.normal(size=len(shape))) * shape
    noise = np.fft.irfft(spectrum, samples).astype(np.float32)
    return noise / (np.std(noise) + np.float32(_FLOOR))

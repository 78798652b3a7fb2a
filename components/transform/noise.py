"""Noise to mix into clips: recorded where there is some, babble of the clips, coloured and hum."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]

FULL_SCALE = 32_768.0
NOISE_DRAWS = 3

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
    """Draws noise out of pools that are made when the first is wanted.

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
            "recorded": [_looped(r, samples) for r in recorded if len(r) and np.ptp(r) > _FLOOR],
            "babble": [_babble(rng, samples, speech) for _ in range(voices)],
            "coloured": coloured,
            "hum": hums,
        }

    def segment(self, draw: Sequence[float], samples: int) -> tuple[Wave, float]:
        """`samples` samples of noise, not to be written to, and their root mean square, never 0.

        Args:
            draw: `NOISE_DRAWS` numbers from 0 to below 1 that choose them: kind, wave and place.
            samples: how many.
        """
        kind, which, place = draw
        if kind < _BABBLE_SHARE:
            pool = self._pools["babble"]
        elif kind < _BABBLE_SHARE + _HUM_SHARE:
            pool = self._pools["hum"]
        elif kind < _BABBLE_SHARE + _HUM_SHARE + _RECORDED_SHARE:
            pool = self._pools["recorded"]
        else:
            pool = self._pools["coloured"]
        pool = pool or self._pools["coloured"]
        wave = _cut(place, pool[int(which * len(pool))], samples)
        return wave, rms(wave) + _FLOOR


def rms(wave: Wave) -> float:
    """The root mean square of `wave`."""
    return math.sqrt(float(np.dot(wave, wave)) / len(wave))


@functools.lru_cache(maxsize=2)
def _synthesised(samples: int, sample_rate: int, seed: int) -> tuple[list[Wave], list[Wave]]:
    """Coloured noises and hums, the same for every shard that a worker sees."""
    rng = np.random.default_rng(seed)
    coloured = [_coloured(rng, 2 * samples, e) for e in (0.0, 0.0, 1.0, 1.0, 2.0, 2.0)]
    return coloured, [_hum(rng, samples, sample_rate) for _ in range(_HUMS)]


def _looped(wave: Wave, samples: int) -> Wave:
    """`wave`, played forwards and backwards in turn until it is long enough."""
    if len(wave) >= samples:
        return wave
    return np.resize(np.concatenate([wave, wave[::-1]]), samples)


def _cut(place: float, wave: Wave, samples: int) -> Wave:
    wave = _looped(wave, samples + 1)
    start = int(place * (len(wave) - samples))
    return wave[start : start + samples]


def _babble(rng: np.random.Generator, samples: int, speech: Sequence[Wave]) -> Wave:
    total = np.zeros(samples, np.float32)
    for i in rng.choice(len(speech), _VOICES, replace=False):
        total += _cut(rng.random(), speech[i], samples) / (np.std(speech[i]) + np.float32(_FLOOR))
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

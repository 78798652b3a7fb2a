"""Sounds without a word: rooms, machines, knocks and far-off talk, made from random numbers.

Every function gives float samples of about unit root mean square at `RATE`, shape (samples,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

RATE = 16_000
Samples = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], Samples]


def hiss(rng: np.random.Generator, samples: int) -> Samples:
    """Even noise: an amplifier, a running tap, rain."""
    return _coloured(rng, samples, rng.uniform(-0.4, 0.5))


def room_tone(rng: np.random.Generator, samples: int) -> Samples:
    """What a quiet room and a cheap microphone give: low noise that falls with frequency."""
    return _coloured(rng, samples, rng.uniform(0.6, 2.2))


def hum(rng: np.random.Generator, samples: int) -> Samples:
    """Mains and motors: harmonics of a low tone over a room."""
    time = np.arange(samples) / RATE
    tone = rng.choice([50.0, 60.0, rng.uniform(80.0, 300.0)])
    harmonics = np.arange(1, 16)
    strengths = rng.uniform(0.0, 1.0, 15) / harmonics ** rng.uniform(0.3, 1.5)
    phases = rng.uniform(0.0, 2.0 * np.pi, 15)
    sound = np.sin(2.0 * np.pi * tone * harmonics[:, None] * time + phases[:, None])
    return _unit(_unit(strengths @ sound) + rng.uniform(0.1, 1.0) * room_tone(rng, samples))


def knocks(rng: np.random.Generator, samples: int) -> Samples:
    """Clicks, dishes, steps: short ringing bursts, some in a rhythm, over a room."""
    sound = 10.0 ** rng.uniform(-2.0, -0.5) * room_tone(rng, samples)
    length = RATE // 5
    time = np.arange(length) / RATE
    beat = rng.uniform(0.15, 0.8) * RATE
    for start in np.arange(rng.uniform(0.0, beat), samples, beat):
        start = int(start + rng.normal(0.0, 0.2) * beat * rng.integers(0, 2))
        if not 0 <= start < samples:
            continue
        decay = np.exp(-time / 10.0 ** rng.uniform(-3.0, -1.3))
        rings = rng.uniform(200.0, 6_000.0, 4)
        burst = np.sin(2.0 * np.pi * rings[:, None] * time).T @ rng.uniform(0.0, 1.0, 4)
        burst = (burst + rng.normal(0.0, rng.uniform(0.2, 2.0), length)) * decay
        end = min(samples, start + length)
        sound[start:end] += rng.uniform(0.2, 1.0) * burst[: end - start]
    return _unit(sound)


def wail(rng: np.random.Generator, samples: int) -> Samples:
    """A voice without a word, an animal, a squeaking chair: gliding harmonics that come and go."""
    knots = max(3, samples * 3 // RATE)
    grid = np.linspace(0.0, samples, knots)
    steps = np.arange(samples)
    pitch = np.interp(steps, grid, 10.0 ** rng.uniform(2.1, 2.9, knots))
    phase = 2.0 * np.pi * np.cumsum(pitch) / RATE
    harmonics = np.arange(1, 9)
    strengths = rng.uniform(0.0, 1.0, 8) / harmonics
    loudness = np.interp(steps, grid, np.maximum(0.0, rng.normal(0.2, 0.6, knots)))
    sound = strengths @ np.sin(harmonics[:, None] * phase) * loudness
    return _unit(sound + 10.0 ** rng.uniform(-2.5, -0.7) * room_tone(rng, samples))


def babble(voices: Sequence[Samples]) -> Noise:
    """Far-off talk made of `voices`, words at `RATE`, many at once so that none stands out."""

    def noise(rng: np.random.Generator, samples: int) -> Samples:
        sound = 0.05 * room_tone(rng, samples)
        for _ in range(max(1, 14 * samples // RATE)):
            voice = _unit(voices[int(rng.integers(len(voices)))])
            start = int(rng.integers(-len(voice), samples))
            first, last = max(0, start), min(samples, start + len(voice))
            sound[first:last] += rng.uniform(0.3, 1.0) * voice[first - start : last - start]
        return _unit(_lowpass(sound, rng.uniform(1_000.0, 5_000.0)))

    return noise


def _coloured(rng: np.random.Generator, samples: int, fall: float) -> Samples:
    """Gaussian noise whose power falls with frequency to the power `fall`, flat below 40 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1.0 / RATE), 40.0)
    return _unit(np.fft.irfft(spectrum * frequency ** (-fall / 2.0), samples))


def _lowpass(sound: Samples, edge: float) -> Samples:
    frequency = np.fft.rfftfreq(len(sound), 1.0 / RATE)
    return np.fft.irfft(np.fft.rfft(sound) / (1.0 + (frequency / edge) ** 2), len(sound))


def _unit(sound: Samples) -> Samples:
    return np.asarray(sound / (np.sqrt(np.mean(sound**2)) + 1e-12))

"""From a dry voice to what a cheap microphone in somebody's room would have recorded.

Levels follow recordings of volunteers on their own devices (Speech Commands): the loudest frame
of a word at -28 to -5 dB of full scale, noise 20 to 80 dB below it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.speech_synthesizer.noises import RATE, Noise, Samples, room_tone

CLIP_SAMPLES = RATE
_FRAME = RATE // 40
LONGEST_WORD = int(0.9 * RATE)
_FFT = 24_000
# What eSpeak's voices lack against the mean of recorded ones, mostly warmth.
_COLOUR_HZ = np.array([60.0, 170.0, 520.0, 860.0, 1_290.0, 1_850.0, 2_560.0, 3_460.0, 4_620.0])
_COLOUR_DB = np.array([10.0, 10.0, 4.0, -1.0, 2.0, 3.0, 1.0, -3.0, -5.0])


def recorded(
    rng: np.random.Generator, voice: Samples, noises: Sequence[Noise], room_share: float
) -> tuple[Samples, int]:
    """Puts a word into a clip of `CLIP_SAMPLES`.

    Args:
        rng: of all draws.
        voice: the dry word at `RATE`, at most the clip's length.
        noises: what else may be heard.
        room_share: how often there is a room, 0 to 1.

    Returns:
        The clip, within -1..1, and the sample at which the word starts.
    """
    response = _microphone(rng).astype(np.complex128)
    if rng.random() < room_share:
        response *= np.fft.rfft(_room(rng), _FFT)
    start = int(rng.integers(0, CLIP_SAMPLES - len(voice) + 1))
    clip = np.zeros(CLIP_SAMPLES)
    clip[start : start + len(voice)] = _lively(rng, voice)
    clip = np.fft.irfft(np.fft.rfft(clip, _FFT) * response, _FFT)[:CLIP_SAMPLES]
    clip *= _amplitude(np.clip(rng.normal(-14.5, 5.0), -30.0, -4.0)) / _loudest(clip)
    return _digital(rng, clip + _floor(rng, noises, _loudest(clip))), start


def silence(rng: np.random.Generator, noises: Sequence[Noise]) -> Samples:
    """A clip of `CLIP_SAMPLES` without a word, from next to nothing to loud."""
    noise = noises[int(rng.integers(len(noises)))](rng, CLIP_SAMPLES)
    knots = np.linspace(0, CLIP_SAMPLES, 5)
    swell = np.interp(np.arange(CLIP_SAMPLES), knots, rng.uniform(0.3, 1.5, 5))
    level = _amplitude(rng.uniform(-70.0, -10.0))
    return _digital(rng, level * (noise * swell if rng.random() < 0.4 else noise))


def trimmed(voice: Samples) -> Samples:
    """A word without the quiet before and after it."""
    heard = np.flatnonzero(np.abs(voice) > 0.01 * np.max(np.abs(voice), initial=0.0))
    if len(heard) == 0:
        return voice[:0]
    word = voice[heard[0] : heard[-1] + 1].copy()
    fade = min(80, len(word))
    word[len(word) - fade :] *= np.linspace(1.0, 0.0, fade)
    return word


def _lively(rng: np.random.Generator, voice: Samples) -> Samples:
    """Louder where it is loud: people stress a vowel more than eSpeak does."""
    total = np.concatenate([np.zeros(1), np.cumsum(np.pad(voice**2, (_FRAME // 2, _FRAME // 2)))])
    power = np.maximum(total[_FRAME:] - total[:-_FRAME], 0.0)[: len(voice)]
    envelope = np.sqrt(power / (np.max(power) + 1e-12))
    return np.asarray(voice * np.maximum(envelope, 1e-3) ** rng.uniform(-0.1, 0.55))


def _microphone(rng: np.random.Generator) -> Samples:
    """Gains over the bins of an FFT of `_FFT`: band edges and a gently wavy response."""
    frequency = np.fft.rfftfreq(_FFT, 1.0 / RATE)
    octaves = np.log2(np.maximum(frequency, 30.0) / 30.0)
    wave = np.interp(octaves, np.linspace(0.0, 8.1, 9), rng.normal(0.0, 3.3, 9))
    wave += rng.uniform(0.0, 1.1) * np.interp(octaves, np.log2(_COLOUR_HZ / 30.0), _COLOUR_DB)
    wave += rng.normal(0.0, 1.2) * (octaves - 5.0)
    low, high = 10.0 ** rng.uniform(1.2, 2.1), rng.uniform(3_600.0, 9_000.0)
    gain = np.power(10.0, wave / 20.0)
    gain /= np.sqrt(1.0 + (low / np.maximum(frequency, 1.0)) ** 4)
    return np.asarray(gain / np.sqrt(1.0 + (frequency / high) ** rng.choice([4, 8, 16])))


def _room(rng: np.random.Generator) -> Samples:
    """An impulse response: the direct sound, some early echoes, noise that dies away."""
    reverberation = 10.0 ** rng.uniform(-1.0, -0.25)
    length = min(int(reverberation * RATE), _FFT - CLIP_SAMPLES)
    time = np.arange(length) / RATE
    tail = rng.standard_normal(length) * np.exp(-6.9 * time / reverberation)
    dull = np.convolve(tail, np.full(4, 0.25), mode="same")
    response = np.where(time < rng.uniform(0.2, 0.6) * reverberation, tail, dull)
    response[: int(rng.uniform(0.002, 0.015) * RATE)] = 0.0
    response *= _amplitude(-rng.uniform(0.0, 22.0)) / (np.sqrt(np.sum(response**2)) + 1e-12)
    for _ in range(int(rng.integers(2, 8))):
        echo = int(rng.uniform(0.001, 0.03) * RATE)
        response[min(echo, length - 1)] += rng.uniform(-0.5, 0.5)
    response[0] = 1.0
    return np.asarray(response)


def _floor(rng: np.random.Generator, noises: Sequence[Noise], loudest: float) -> Samples:
    """A quiet room under the word, and in one clip of three something louder."""
    below = np.clip(rng.normal(56.0, 12.0), 20.0, 85.0)
    floor = loudest * _amplitude(-below) * room_tone(rng, CLIP_SAMPLES)
    if rng.random() < 0.28:
        other = noises[int(rng.integers(len(noises)))](rng, CLIP_SAMPLES)
        floor += loudest * _amplitude(-rng.uniform(10.0, 45.0)) * other
    return np.asarray(floor)


def _digital(rng: np.random.Generator, clip: Samples) -> Samples:
    """Overdriven now and then, and coded coarsely now and then."""
    if rng.random() < 0.08:
        clip = np.tanh(clip * rng.uniform(2.0, 6.0)) * rng.uniform(0.4, 0.9)
    if rng.random() < 0.15:
        clip = clip + np.abs(clip) * rng.uniform(0.002, 0.02) * rng.standard_normal(len(clip))
    return np.clip(clip, -1.0, 1.0)


def _loudest(clip: Samples) -> float:
    """Root mean square of the loudest 25 ms."""
    frames = clip[: len(clip) // _FRAME * _FRAME].reshape(-1, _FRAME)
    return float(np.sqrt(np.max(np.mean(frames**2, axis=1)))) + 1e-9


def _amplitude(decibels: float) -> float:
    return float(10.0 ** (decibels / 20.0))

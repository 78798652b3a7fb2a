"""Training clips that are no word: made from keyword clips, and pieces of noise.

A model that has only ever heard whole keywords takes anything like one for it. Clips that begin as one
word and end as another, stop half-way, or run backwards have the same voices, rooms and sounds, and
teach it that a word is the whole of it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from components.transform.noise import FULL_SCALE, NOISE_DRAWS, NoiseSource, Wave, rms

_BLOCK = 80
_SMOOTHING_BLOCKS = 10
_BACKGROUND = 800
_LEAST_WORD = 1600
_FADE = 160
_MOST_GAIN = 8.0
_FALL = np.linspace(1.0, 0.0, _FADE, dtype=np.float32)
_LONG_FALL = np.linspace(1.0, 0.0, 2 * _FADE, dtype=np.float32)
_KINDS = ("reverse", "splice", "splice", "cut")


@dataclasses.dataclass(frozen=True)
class Word:
    """A clip of a known word."""

    wave: Wave
    label: str

    @functools.cached_property
    def span(self) -> tuple[int, int] | None:
        """Where the energy above the clip's background begins and ends, to 80 samples."""
        clip = self.wave
        energy = np.add.reduceat(clip * clip, np.arange(0, len(clip), _BLOCK)).astype(np.float64)
        sides = (_SMOOTHING_BLOCKS // 2, (_SMOOTHING_BLOCKS - 1) // 2)
        energy = np.convolve(np.pad(energy, sides, "edge"), np.ones(_SMOOTHING_BLOCKS), "valid")
        energy = np.maximum(energy - np.sort(energy)[len(energy) // 5], 0.0)
        total = np.cumsum(energy)
        if total[-1] <= 0.0:
            return None
        start, end = np.searchsorted(total / total[-1], (0.03, 0.97)) * _BLOCK
        return (int(start), int(end)) if end - start >= _LEAST_WORD else None


def make_unknown(rng: np.random.Generator, words: Sequence[Word]) -> Wave | None:
    """A clip that is no word, made of `words`; None if the ones drawn do not serve."""
    first = words[int(rng.integers(len(words)))]
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    if kind == "reverse":
        return first.wave[::-1].copy() if len(first.label) > 2 else None
    if first.span is None:
        return None
    if kind == "cut":
        return _cut_short(rng, first.wave, first.span)
    second = words[int(rng.integers(len(words)))]
    if second.span is None or first.label == second.label:
        return None
    return _splice(rng, first.wave, first.span, second.wave, second.span)


def make_silence(rng: np.random.Generator, noise: NoiseSource, samples: int) -> Wave:
    """A piece of noise at a random level, swelling now and then; at times digital silence."""
    if rng.random() < 0.05:
        return np.zeros(samples, np.float32)
    piece, power = noise.segment(rng.random(NOISE_DRAWS).tolist(), samples)
    level = FULL_SCALE * 10.0 ** (rng.uniform(-70.0, -12.0) / 20.0)
    wave: Wave = piece * (level / power)
    if rng.random() < 0.3:
        points = np.linspace(0, samples, 6)
        wave *= np.interp(np.arange(samples), points, rng.uniform(0.2, 1.5, 6))
    return wave


def _splice(
    rng: np.random.Generator,
    first: Wave,
    span: tuple[int, int],
    second: Wave,
    other: tuple[int, int],
) -> Wave:
    middle = len(first) // 2
    leave = int(span[0] + (span[1] - span[0]) * rng.uniform(0.4, 0.6))
    enter = int(other[0] + (other[1] - other[0]) * rng.uniform(0.4, 0.6))
    head = first[max(0, leave - middle) : leave]
    level = rms(first) / (rms(second) + 1e-6)
    tail = second[enter : enter + len(first) - middle] * min(level, _MOST_GAIN)
    clip = np.zeros(len(first), np.float32)
    clip[middle - len(head) : middle] = head
    clip[middle : middle + len(tail)] = tail
    clip[middle - _FADE : middle] *= _FALL
    clip[middle : middle + _FADE] *= _FALL[::-1]
    return clip


def _cut_short(rng: np.random.Generator, clip: Wave, span: tuple[int, int]) -> Wave:
    at = max(2 * _FADE, int(span[0] + (span[1] - span[0]) * rng.uniform(0.35, 0.5)))
    quiet = clip[:_BACKGROUND] if span[0] > _BACKGROUND else clip[-_BACKGROUND:]
    background = np.resize(np.concatenate([quiet, quiet[::-1]]), len(clip))
    keep = np.ones(len(clip), np.float32)
    keep[at:] = 0.0
    keep[at - 2 * _FADE : at] = _LONG_FALL
    if rng.random() < 0.5:
        keep = 1.0 - keep
    return background + (clip - background) * keep

"""Training clips that are no word: made from keyword clips, and pieces of noise.

A model that has only ever heard whole keywords takes anything like one for it. Clips that begin as one
word and end as another, stop half-way, or run backwards have the same voices, rooms and sounds, and
teach it that a word is the whole of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.transform.noise import NoiseSource, Wave

_SMOOTHING = 800
_LEAST_WORD = 1600
_FADE = 160
_MOST_GAIN = 8.0


def make_unknown(
    rng: np.random.Generator, clips: Sequence[Wave], labels: Sequence[str]
) -> Wave | None:
    """A clip that is no word, out of `clips` of known words; None if the ones drawn do not serve."""
    first = int(rng.integers(len(clips)))
    kind = rng.choice(["reverse", "splice", "splice", "cut"])
    if kind == "reverse":
        return clips[first][::-1].copy() if len(labels[first]) > 2 else None
    span = _word_span(clips[first])
    if span is None:
        return None
    if kind == "cut":
        return _cut_short(rng, clips[first], span)
    second = int(rng.integers(len(clips)))
    other = _word_span(clips[second])
    if other is None or labels[first] == labels[second]:
        return None
    return _splice(rng, clips[first], span, clips[second], other)


def make_silence(rng: np.random.Generator, noise: NoiseSource, samples: int) -> Wave:
    """A piece of noise at a random level, swelling now and then; at times digital silence."""
    if rng.random() < 0.05:
        return np.zeros(samples, np.float32)
    wave = noise.segment(rng, samples)
    if rng.random() < 0.3:
        points = np.linspace(0, samples, 6)
        wave = wave * np.interp(np.arange(samples), points, rng.uniform(0.2, 1.5, 6))
    level = 10.0 ** (rng.uniform(-70.0, -12.0) / 20.0)
    return np.clip(wave * level, -1.0, 1.0).astype(np.float32)


def _word_span(clip: Wave) -> tuple[int, int] | None:
    """Where the energy above the clip's background begins and ends, in samples."""
    summed = np.cumsum(np.pad(clip * clip, _SMOOTHING // 2, mode="edge"), dtype=np.float64)
    energy = summed[_SMOOTHING:] - summed[:-_SMOOTHING]
    energy = np.maximum(energy - np.percentile(energy, 20), 0.0)
    total = np.cumsum(energy)
    if total[-1] <= 0.0:
        return None
    start, end = (int(np.searchsorted(total / total[-1], share)) for share in (0.03, 0.97))
    return (start, end) if end - start >= _LEAST_WORD else None


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
    level = float(np.std(first)) / (float(np.std(second)) + 1e-6)
    tail = second[enter : enter + len(first) - middle] * min(level, _MOST_GAIN)
    clip = np.zeros(len(first), np.float32)
    clip[middle - len(head) : middle] = head
    clip[middle : middle + len(tail)] = tail
    clip[middle - _FADE : middle] *= np.linspace(1.0, 0.0, _FADE)
    clip[middle : middle + _FADE] *= np.linspace(0.0, 1.0, _FADE)
    return clip


def _cut_short(rng: np.random.Generator, clip: Wave, span: tuple[int, int]) -> Wave:
    at = max(2 * _FADE, int(span[0] + (span[1] - span[0]) * rng.uniform(0.35, 0.5)))
    quiet = clip[:_SMOOTHING] if span[0] > _SMOOTHING else clip[-_SMOOTHING:]
    background = np.resize(np.concatenate([quiet, quiet[::-1]]), len(clip))
    keep = np.ones(len(clip), np.float32)
    keep[at:] = 0.0
    keep[at - 2 * _FADE : at] = np.linspace(1.0, 0.0, 2 * _FADE)
    if rng.random() < 0.5:
        keep = 1.0 - keep
    return (clip * keep + background * (1.0 - keep)).astype(np.float32)

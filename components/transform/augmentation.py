"""Fixed augmentations of a clip's waveform: speed, place, noise and level."""

from __future__ import annotations

import dataclasses

import numpy as np
import soxr

from components.transform.noise import NoiseSource, Wave

_EDGE_SAMPLES = 1600
_EDGE_GAIN = 0.7
_SPEED_SHARE = 0.8
_LEAST_RMS = 0.002


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewParameters:
    """What a view may be; see `components.transform.component.TransformParameters`."""

    speed_low: float
    speed_high: float
    shift_samples: int
    gain_low_db: float
    gain_high_db: float
    snr_low_db: float
    snr_high_db: float
    quiet_share: float


def make_view(
    rng: np.random.Generator, clip: Wave, samples: int, noise: NoiseSource, params: ViewParameters
) -> Wave:
    """One view of `clip` (in [-1, 1]), in the middle of `samples` samples.

    Where the view is longer than the clip, its edges are filled with the clip's own, mirrored, so
    that no digital silence tells where a clip ends.
    """
    if rng.random() < _SPEED_SHARE:
        low, high = np.log(params.speed_low), np.log(params.speed_high)
        speed = float(np.exp(rng.uniform(low, high)))
        clip = soxr.resample(clip, 1.0, 1.0 / speed, quality="QQ")
    shift = int(rng.integers(-params.shift_samples, params.shift_samples + 1))
    view = _place(clip, samples, (samples - len(clip)) // 2 + shift)
    if rng.random() >= params.quiet_share:
        snr = rng.uniform(params.snr_low_db, params.snr_high_db)
        level = max(float(np.sqrt(np.dot(view, view) / samples)), _LEAST_RMS) * 10.0 ** (
            -snr / 20.0
        )
        view += noise.segment(rng, samples) * np.float32(level)
    view *= np.float32(10.0 ** (rng.uniform(params.gain_low_db, params.gain_high_db) / 20.0))
    return np.clip(view, -1.0, 1.0, out=view)


def _place(clip: Wave, samples: int, offset: int) -> Wave:
    view = np.empty(samples, np.float32)
    start, end = max(0, offset), min(samples, offset + len(clip))
    view[start:end] = clip[start - offset : end - offset]
    if start > 0:
        view[:start] = _EDGE_GAIN * _mirrored(clip[:_EDGE_SAMPLES], start)[::-1]
    if end < samples:
        view[end:] = _EDGE_GAIN * _mirrored(clip[-_EDGE_SAMPLES:][::-1], samples - end)
    return view


def _mirrored(edge: Wave, samples: int) -> Wave:
    return np.resize(np.concatenate([edge, edge[::-1]]), samples)

"""Fixed augmentations of a clip's waveform: speed, place, noise and level."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import soxr

from components.transform.noise import NoiseSource, Wave

_EDGE_SAMPLES = 1600
_EDGE_GAIN = 0.7
_SPEEDS = 6
_VIEWS_A_SPEED = 3
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


def make_views(
    rng: np.random.Generator,
    clip: Wave,
    count: int,
    samples: int,
    noise: NoiseSource,
    params: ViewParameters,
) -> Iterator[Wave]:
    """Yields `count` views of `clip` (in [-1, 1]), each in the middle of `samples` samples.

    A clip is played at a few speeds, which its views share: resampling costs more than all the rest.
    Where a view is longer than the clip, its edges are filled with the clip's own, mirrored, so that
    no digital silence tells where a clip ends.
    """
    low, high = np.log(params.speed_low), np.log(params.speed_high)
    speeds = np.exp(rng.uniform(low, high, min(_SPEEDS, count // _VIEWS_A_SPEED)))
    versions = [clip, *(soxr.resample(clip, 1.0, 1.0 / speed, quality="QQ") for speed in speeds)]
    for _ in range(count):
        yield _view(rng, versions[int(rng.integers(len(versions)))], samples, noise, params)


def _view(
    rng: np.random.Generator, clip: Wave, samples: int, noise: NoiseSource, params: ViewParameters
) -> Wave:
    shift = int(rng.integers(-params.shift_samples, params.shift_samples + 1))
    view = _place(clip, samples, (samples - len(clip)) // 2 + shift)
    if rng.random() >= params.quiet_share:
        snr = rng.uniform(params.snr_low_db, params.snr_high_db)
        level = max(float(np.sqrt(np.dot(view, view) / samples)), _LEAST_RMS)
        view += noise.segment(rng, samples) * np.float32(level * 10.0 ** (-snr / 20.0))
    gain = rng.uniform(params.gain_low_db, params.gain_high_db)
    view *= np.float32(10.0 ** (gain / 20.0))
    return view


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
    period = np.concatenate([edge, edge[::-1]])
    return period[:samples] if samples <= len(period) else np.resize(period, samples)

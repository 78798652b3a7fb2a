"""Fixed augmentations of a clip's waveform: speed, place, noise and level."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from components.transform.noise import FULL_SCALE, NOISE_DRAWS, NoiseSource, Wave, rms
from components.transform.speed import nearest_speed, play, samples_for

_EDGE_SAMPLES = 1600
_EDGE_GAIN = 0.7
_SPEEDS = 6
_VIEWS_A_SPEED = 3
_VIEW_DRAWS = 5
_LEAST_RMS = 0.002 * FULL_SCALE


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
    """Yields `count` views of `clip`, each in the middle of `samples` samples, in units of PCM steps.

    A clip is played at a few speeds, which its views share. Where a view is longer than the clip, its
    edges are filled with the clip's own, mirrored, so that no digital silence tells where a clip ends.
    All is drawn ahead of the first view.
    """
    low, high = math.log(params.speed_low), math.log(params.speed_high)
    drawn = rng.random((count, _VIEW_DRAWS + NOISE_DRAWS)).tolist()
    speeds = np.exp(rng.uniform(low, high, min(_SPEEDS, count // _VIEWS_A_SPEED))).tolist()
    versions = _versions(clip, speeds, samples + 2 * params.shift_samples)
    for which, place, quiet, snr, gain, *noise_draws in drawn:
        start = int(place * (2 * params.shift_samples + 1))
        by = 10.0 ** (_between(gain, params.gain_low_db, params.gain_high_db) / 20.0)
        view = versions[int(which * len(versions))][start : start + samples] * by
        if quiet >= params.quiet_share:
            wave, power = noise.segment(noise_draws, samples)
            below = 10.0 ** (-_between(snr, params.snr_low_db, params.snr_high_db) / 20.0)
            view += wave * (max(rms(view), _LEAST_RMS * by) * below / power)
        yield view


def _versions(clip: Wave, speeds: Sequence[float], samples: int) -> list[Wave]:
    """`clip` as recorded and at each of `speeds`, in the middle of `samples` samples."""
    steps = [nearest_speed(speed) for speed in speeds]
    frame = _frame(clip, max([samples, *(samples_for(samples, step) for step in steps)]))
    before = (len(frame) - samples) // 2
    as_recorded = frame[before : before + samples]
    return [as_recorded, *(play(frame, step, samples) for step in steps)]


def _between(share: float, low: float, high: float) -> float:
    return low + (high - low) * share


def _frame(clip: Wave, samples: int) -> Wave:
    """The middle `samples` samples of `clip`, or `clip` in the middle of them."""
    before = (samples - len(clip)) // 2
    if before < 0:
        return clip[-before : samples - before]
    head = _mirrored(clip[:_EDGE_SAMPLES], before)[::-1]
    tail = _mirrored(clip[-_EDGE_SAMPLES:][::-1], samples - len(clip) - before)
    return np.concatenate([head * _EDGE_GAIN, clip, tail * _EDGE_GAIN])


def _mirrored(edge: Wave, samples: int) -> Wave:
    period = np.concatenate([edge, edge[::-1]])
    return period[:samples] if samples <= len(period) else np.resize(period, samples)

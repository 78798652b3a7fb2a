"""A wave played faster or slower, as one matrix product.

Speeds are whole 64ths, so that each block of 64 samples of the result lies over its stretch of the wave
as every other does: one matrix of windowed sinc filters, made once a speed, gives them all.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from components.transform.noise import Wave

_STEPS = 64
_ZERO_CROSSINGS = 8


def nearest_speed(speed: float) -> int:
    """`speed` (1 is as recorded) in 64ths, rounded."""
    return max(1, round(speed * _STEPS))


def samples_for(samples: int, speed: int) -> int:
    """Samples of a wave that `play` asks for to make `samples` of, at `speed` 64ths."""
    return _spanned(samples, speed) + 2 * (_reach(speed) + speed)


def play(wave: Wave, speed: int, samples: int) -> Wave:
    """`samples` samples, of the middle of `wave` at `speed` 64ths; pitch moves with speed.

    Of a wave that is faster than recorded, what is too high for the sample rate is filtered out.

    Raises:
        ValueError: if `wave` has fewer than `samples_for` samples.
    """
    if len(wave) < samples_for(samples, speed):
        raise ValueError(f"{len(wave)} samples; {samples_for(samples, speed)} are needed")
    filters, item = _filters(speed), wave.itemsize
    start = (len(wave) - _spanned(samples, speed)) // 2 - _reach(speed)
    stretches: Wave = np.ndarray(
        (-(-samples // _STEPS), len(filters)),
        np.float32,
        buffer=wave.data,
        offset=start * item,
        strides=(speed * item, item),
    )
    played: Wave = np.ascontiguousarray(stretches) @ filters
    return played.reshape(-1)[:samples]


def _spanned(samples: int, speed: int) -> int:
    return samples * speed // _STEPS


def _reach(speed: int) -> int:
    """Samples on either side of its place that a sample of the result is made of."""
    return math.ceil(_ZERO_CROSSINGS * max(1.0, speed / _STEPS))


@functools.lru_cache(maxsize=512)
def _filters(speed: int) -> Wave:
    """Shape (reach + speed + reach, 64): column k weighs the samples around place k * speed / 64."""
    reach = _reach(speed)
    away = np.arange(-reach, speed + reach)[:, None] - np.arange(_STEPS) * speed / _STEPS
    taper = np.cos(np.clip(away / reach, -1.0, 1.0) * (np.pi / 2.0)) ** 2
    weights = np.sinc(away / max(1.0, speed / _STEPS)) * taper
    return (weights / weights.sum(axis=0)).astype(np.float32)

"""From samples as recorded to the one form that a front end takes: int16, mono, at its rate.

Training (ExampleGen), evaluation and the device all come through here, so a recording becomes the
same PCM wherever it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.features.audio import Float32, Pcm

_QUALITY = "HQ"


def conform(samples: npt.NDArray[np.floating[Any]], rate: int, target_rate: int) -> Pcm:
    """The mean of the channels at `target_rate`, as int16.

    16-bit mono PCM that is at the target rate already passes through bit-exactly. What lies beyond
    -1 to 1 is clipped, as a converter would.

    Args:
        samples: shape (frames, channels) or (frames,), finite, nominally -1 to 1.
        rate: their frames a second, Hz.
        target_rate: frames a second of the result, Hz.
    """
    signal = _mono(samples)
    if rate != target_rate and len(signal):
        import soxr

        signal = soxr.resample(signal, rate, target_rate, quality=_QUALITY)
    return _pcm(signal)


class StreamConformer:
    """Does what `conform` does to a stream that comes in blocks; memory does not grow with it."""

    def __init__(self, rate: int, target_rate: int) -> None:
        self._resampler: Any = None
        if rate != target_rate:
            import soxr

            self._resampler = soxr.ResampleStream(
                rate, target_rate, 1, dtype="float32", quality=_QUALITY
            )

    def process(self, samples: npt.NDArray[np.floating[Any]]) -> Pcm:
        """Takes the next block; gives the PCM that became whole, which lags a little."""
        signal = _mono(samples)
        if self._resampler is not None:
            signal = self._resampler.resample_chunk(signal)
        return _pcm(signal)

    def finish(self) -> Pcm:
        """The PCM still held back at the end of the stream; the conformer is spent then."""
        if self._resampler is None:
            return np.zeros(0, np.int16)
        return _pcm(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def fit(pcm: Pcm, samples: int) -> Pcm:
    """`pcm` at exactly `samples` samples: trimmed, or padded with zeros, alike at both ends.

    Of an odd difference the larger half falls to the end.
    """
    surplus = len(pcm) - samples
    if surplus >= 0:
        start = surplus // 2
        return pcm[start : start + samples]
    before = -surplus // 2
    padded: Pcm = np.pad(pcm, (before, -surplus - before))
    return padded


def _mono(samples: npt.NDArray[np.floating[Any]]) -> Float32:
    signal = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float64)
    return np.clip(signal, -1.0, 1.0).astype(np.float32)


def _pcm(signal: Float32) -> Pcm:
    pcm: Pcm = np.clip(np.rint(signal * np.float32(32768)), -32768, 32767).astype(np.int16)
    return pcm

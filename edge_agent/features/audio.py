"""Audio front ends: from 16-bit PCM to the int8 codes that a model's input tensor takes.

Both front ends give int8 codes, one row a frame, on a fixed grid: ``real = code * INPUT_SCALE`` with
zero point 0. Training, calibration and the device all work on these same 256 codes, so nothing is
rounded twice and nothing can drift.

- ``log_mel``: Hann window, power spectrum, triangular mel filters (HTK formula), natural logarithm,
  mapped linearly from ``[log_low, log_high]``. Stateless from frame to frame.
- ``micro``: the audio front end of TensorFlow Lite for Microcontrollers (noise suppression, PCAN gain
  control, logarithm), through pymicro-features. It adapts over time, so it carries state.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
Codes = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]

INPUT_SCALE = 1.0 / 32.0
INPUT_ZERO_POINT = 0

# pymicro-features reports TFLM's uint16 output divided by 25.6; 26.0 (= 666 / 25.6) is the top of the
# range that microcontroller models are quantised for.
_MICRO_TOP = 26.0
_MICRO_STRIDE_MS = 10
_MICRO_WINDOW_MS = 30
_MICRO_CHANNELS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioFeatures:
    """Parameters of an audio front end, as a recipe sets them and a bundle carries them.

    Attributes:
        front_end: ``log_mel`` or ``micro``.
        sample_rate: samples a second of the PCM, Hz.
        window_ms: length of one analysis window, milliseconds.
        stride_ms: time from one frame to the next, milliseconds.
        channels: mel channels a frame.
        low_hz: lower edge of the lowest mel filter, Hz (``log_mel``).
        high_hz: upper edge of the highest mel filter, Hz (``log_mel``).
        log_low: natural log of mel energy that becomes code -128 (``log_mel``).
        log_high: natural log of mel energy that becomes code 127 (``log_mel``).
    """

    front_end: Literal["log_mel", "micro"] = "log_mel"
    sample_rate: int = 16_000
    window_ms: int = 30
    stride_ms: int = 20
    channels: int = 40
    low_hz: float = 20.0
    high_hz: float = 7_600.0
    log_low: float = -9.0
    log_high: float = 9.0

    def __post_init__(self) -> None:
        if self.front_end not in ("log_mel", "micro"):
            raise ValueError(f"front_end is {self.front_end!r}: it must be 'log_mel' or 'micro'")
        if not 8_000 <= self.sample_rate <= 48_000:
            raise ValueError(f"sample_rate is {self.sample_rate} Hz: it must be 8000 to 48000")
        if not 0 < self.stride_ms <= self.window_ms <= 100:
            raise ValueError("it must hold that 0 < stride_ms <= window_ms <= 100")
        if not 4 <= self.channels <= 128:
            raise ValueError(f"channels is {self.channels}: it must be 4 to 128")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ValueError("it must hold that 0 <= low_hz < high_hz <= sample_rate / 2")
        if not self.log_low < self.log_high:
            raise ValueError("log_low must be below log_high")
        if self.front_end == "micro" and (
            self.sample_rate,
            self.window_ms,
            self.stride_ms,
            self.channels,
        ) != (16_000, _MICRO_WINDOW_MS, _MICRO_STRIDE_MS, _MICRO_CHANNELS):
            raise ValueError(
                "the micro front end is fixed to 16000 Hz, 30 ms windows, 10 ms strides and 40 channels"
            )

    @property
    def window_samples(self) -> int:
        """Samples in one analysis window."""
        return self.sample_rate * self.window_ms // 1000

    @property
    def stride_samples(self) -> int:
        """Samples from one frame to the next."""
        return self.sample_rate * self.stride_ms // 1000

    def frames_in(self, samples: int) -> int:
        """Whole frames that `samples` samples hold, starting from a fresh front end."""
        return max(0, (samples - self.window_samples) // self.stride_samples + 1)

    def samples_for(self, frames: int) -> int:
        """Samples that `frames` frames span."""
        return self.window_samples + (frames - 1) * self.stride_samples


class FrontEnd(Protocol):
    """A streaming front end: feed PCM in pieces of any size, get the frames that became whole."""

    def process(self, pcm: Pcm) -> Codes:
        """Takes the next samples (int16, mono); gives int8 codes of shape (frames, channels)."""
        ...


def front_end(params: AudioFeatures) -> FrontEnd:
    """A fresh front end for one continuous stream."""
    return MicroFrontEnd(params) if params.front_end == "micro" else LogMelFrontEnd(params)


def clip_codes(pcm: Pcm, params: AudioFeatures) -> Codes:
    """Codes of one clip from a fresh front end: shape (params.frames_in(len(pcm)), channels)."""
    return front_end(params).process(pcm)


class LogMelFrontEnd:
    """Logarithmic mel energies; keeps only the samples that the next window still needs."""

    def __init__(self, params: AudioFeatures) -> None:
        self._params = params
        self._tail: Pcm = np.zeros(0, np.int16)

    def process(self, pcm: Pcm) -> Codes:
        p = self._params
        samples = np.concatenate([self._tail, pcm]) if len(self._tail) else pcm
        frames = p.frames_in(len(samples))
        self._tail = samples[frames * p.stride_samples :].copy()
        if not frames:
            return np.zeros((0, p.channels), np.int8)
        held = np.ascontiguousarray(samples, np.int16)
        # What sliding_window_view gives, at a tenth of the time: a stream asks for one frame at a time.
        windows: Pcm = np.ndarray(
            (frames, p.window_samples),
            np.int16,
            buffer=held.data,
            strides=(p.stride_samples * held.itemsize, held.itemsize),
        )
        return _log_mel_codes(windows, p)


class MicroFrontEnd:
    """TFLM's audio front end; its noise estimate and gain adapt along the stream."""

    def __init__(self, params: AudioFeatures) -> None:
        from pymicro_features import MicroFrontend

        self._params = params
        self._native = MicroFrontend()
        self._tail: Pcm = np.zeros(0, np.int16)

    def process(self, pcm: Pcm) -> Codes:
        stride = self._params.stride_samples
        samples = np.concatenate([self._tail, pcm]) if len(self._tail) else pcm
        steps = len(samples) // stride
        self._tail = samples[steps * stride :].copy()
        data = np.ascontiguousarray(samples[: steps * stride], dtype="<i2").tobytes()
        rows: list[list[float]] = []
        at = 0
        while at < len(data):
            result = self._native.process_samples(data[at : at + stride * 2])
            at += result.samples_read * 2
            if result.features:
                rows.append(result.features)
        if not rows:
            return np.zeros((0, self._params.channels), np.int8)
        scaled = np.asarray(rows, np.float32) * np.float32(255.0 / _MICRO_TOP) - np.float32(128.0)
        return np.clip(np.rint(scaled), -128, 127).astype(np.int8)


def _log_mel_codes(windows: npt.NDArray[np.int16], params: AudioFeatures) -> Codes:
    fft_size = 1 << (params.window_samples - 1).bit_length()
    spectrum = np.fft.rfft(windows * _hann(params.window_samples), n=fft_size)
    power = spectrum.real * spectrum.real
    power += spectrum.imag * spectrum.imag
    codes: Float32 = power.astype(np.float32) @ _mel_matrix(params)
    np.maximum(codes, np.float32(np.exp(params.log_low)), out=codes)
    np.log(codes, out=codes)
    codes -= params.log_low
    codes *= 255.0 / (params.log_high - params.log_low)
    codes -= 128.0
    np.rint(codes, out=codes)
    np.maximum(codes, -128.0, out=codes)
    np.minimum(codes, 127.0, out=codes)
    return codes.astype(np.int8)


@functools.lru_cache(maxsize=8)
def _hann(size: int) -> Float32:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(size) + 0.5) / size)
    return (window / 32768.0).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _mel_matrix(params: AudioFeatures) -> Float32:
    """Triangular filters on the HTK mel scale, shape (fft bins, channels), each peaking at 1."""
    fft_size = 1 << (params.window_samples - 1).bit_length()
    bins = np.arange(fft_size // 2 + 1) * params.sample_rate / fft_size
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in (params.low_hz, params.high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, params.channels + 2) / 2595.0) - 1.0)
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (peak - left)
    falling = (right - bins[:, None]) / (right - peak)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)

"""Features of one window of vibration or another fast signal that tell a fault from mere loudness.

Each window is brought to unit level first, so that no feature follows how loud it is.

Order features: amplitudes by multiples of the shaft's speed rather than by hertz, so that a machine
at another speed looks alike. Spectral kurtosis (Antoni, "The spectral kurtosis: a useful tool for
characterising non-stationary signals", MSSP 2006): how impulsive each band is. A stationary signal
gives 0 in every band whatever its spectrum, so a healthy speed that was never seen looks healthy,
while the ringing of a bearing's fault gives more.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_FLOOR = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class VibrationFeatures:
    """Settings of the features of one window.

    Attributes:
        sample_rate: samples a second.
        window: samples of one window.
        segment: samples of the short spectra that spectral kurtosis is taken over.
        bands: bands of equal width that spectral kurtosis is given for.
        orders: multiples of the shaft's speed that amplitudes are given for; 0 for none.
        hop: samples from the beginning of one window to that of the next; a window if None.
    """

    sample_rate: int
    window: int
    segment: int = 128
    bands: int = 16
    orders: int = 0
    hop: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.sample_rate <= 10_000_000 or not 16 <= self.window <= 10_000_000:
            raise ValueError("sample_rate must be 1 to 10000000, window 16 to 10000000 samples")
        if not 8 <= self.segment <= self.window // 4:
            raise ValueError("segment must be 8 samples to a quarter of the window")
        if not 1 <= self.bands < self.segment // 2 or not 0 <= self.orders <= 1000:
            raise ValueError("bands must be 1 to less than half a segment, orders 0 to 1000")
        if self.hop is not None and not 1 <= self.hop <= self.window:
            raise ValueError("hop must be 1 sample to a window")

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is."""
        width = self.sample_rate / 2 / self.bands
        kurtosis = [f"kurtosis {round(b * width)} Hz" for b in range(self.bands)]
        return (*kurtosis, *(f"order {k + 1}" for k in range(self.orders)))

    @property
    def step(self) -> int:
        """Samples from the beginning of one window to that of the next."""
        return self.window if self.hop is None else self.hop

    def count(self, samples: int) -> int:
        """Whole windows in so many samples."""
        return max(0, (samples - self.window) // self.step + 1)

    def of(self, signal: Float64, speed: float | None = None) -> Float64:
        """The features of each whole window of `signal`: shape (windows, features).

        Args:
            signal: samples of one channel.
            speed: the shaft's revolutions a second; needed for orders.

        Raises:
            ValueError: if orders are asked for and no speed is given, or a sample is not finite.
        """
        if not np.isfinite(signal).all():
            raise ValueError("the signal holds values that are not finite")
        if self.orders and not speed:
            raise ValueError("order features need the shaft's speed")
        if not self.count(len(signal)):
            return np.zeros((0, len(self.names)))
        every = np.lib.stride_tricks.sliding_window_view(signal, self.window)
        windows = every[:: self.step]
        windows = windows - windows.mean(axis=1, keepdims=True)
        level = np.sqrt((windows**2).mean(axis=1, keepdims=True))
        windows = windows / np.maximum(level, _FLOOR)
        parts = [self._kurtosis(windows)]
        if self.orders and speed:
            parts.append(self._orders(windows, speed))
        return np.concatenate(parts, axis=1)

    def _kurtosis(self, windows: Float64) -> Float64:
        """``mean |X|⁴ / (mean |X|²)² - 2`` of each band over half overlapping short spectra."""
        hop = self.segment // 2
        segments = np.lib.stride_tricks.sliding_window_view(windows, self.segment, axis=1)[:, ::hop]
        power = np.abs(np.fft.rfft(segments * np.hanning(self.segment), axis=2)) ** 2
        # The mean and the highest frequency are real numbers, whose kurtosis is another.
        power = power[:, :, 1 : self.segment // 2]
        mean = np.maximum(power.mean(axis=1), _FLOOR)
        kurtosis = (power**2).mean(axis=1) / mean**2 - 2.0
        return np.stack([b.mean(axis=1) for b in np.array_split(kurtosis, self.bands, 1)], 1)

    def _orders(self, windows: Float64, speed: float) -> Float64:
        """Logarithm of the power around each multiple of `speed`, within a quarter of it."""
        power = np.abs(np.fft.rfft(windows * np.hanning(self.window), axis=1)) ** 2 / self.window
        order = np.fft.rfftfreq(self.window, 1.0 / self.sample_rate) / speed
        found = []
        for k in range(1, self.orders + 1):
            near = np.abs(order - k) <= 0.25
            around = power[:, near].sum(axis=1) if near.any() else np.zeros(len(windows))
            found.append(np.log(around + _FLOOR))
        return np.stack(found, axis=1)

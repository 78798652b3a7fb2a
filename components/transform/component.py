"""The Transform component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from components.artifacts import EXAMPLES, FEATURES
from components.base import EXECUTION_ONLY, Component
from components.transform.augmentation import ViewParameters
from edge_agent.features.audio import AudioFeatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformParameters:
    """Parameters of Transform.

    Attributes:
        front_end: ``log_mel``, or ``micro`` (TFLM's, with its own fixed window, stride and channels).
        window_ms: analysis window, milliseconds.
        stride_ms: frame stride, milliseconds.
        channels: mel channels.
        low_hz: lower edge of the mel filters, Hz.
        high_hz: upper edge of the mel filters, Hz.
        log_low: natural log of mel energy at code -128.
        log_high: natural log of mel energy at code 127.
        margin_frames: frames kept before and after each clip.
        train_views: augmented views of each training clip, beside the clip as recorded, at most.
        train_rows: about how many rows of training features are enough; with many clips each gets
            fewer views.
        eval_views: augmented views of each validation and test clip.
        made_unknown: clips made of pieces of keyword clips (reversed, spliced, cut), which are no
            word, as a multiple of the keyword clips; they train ``_unknown_``.
        made_silence: pieces of noise at any level, as a multiple of the training clips; they train
            ``_silence_``.
        speed_low: slowest speed of a view (1 is as recorded); pitch moves with it. Speeds are
            rounded to 64ths.
        speed_high: fastest speed of a view.
        shift_ms: most that a view is moved in time, milliseconds, either way.
        gain_low_db: least gain of a view, dB.
        gain_high_db: most gain of a view, dB.
        snr_low_db: worst signal-to-noise ratio of a view, dB.
        snr_high_db: best signal-to-noise ratio of a noisy view, dB.
        quiet_share: share of views to which no noise is added, 0 to 1.
        seed: seed of all views.
        beam_options: options of the Beam runner, e.g. ``--runner=DaskRunner``.
    """

    front_end: Literal["log_mel", "micro"] = "log_mel"
    window_ms: int = 30
    stride_ms: int = 20
    channels: int = 40
    low_hz: float = 20.0
    high_hz: float = 7_600.0
    log_low: float = -9.0
    log_high: float = 9.0
    margin_frames: int = 8
    train_views: int = 30
    train_rows: int = 60_000
    eval_views: int = 10
    made_unknown: float = 2.0
    made_silence: float = 2.0
    speed_low: float = 0.82
    speed_high: float = 1.22
    shift_ms: float = 40.0
    gain_low_db: float = -10.0
    gain_high_db: float = 8.0
    snr_low_db: float = 5.0
    snr_high_db: float = 40.0
    quiet_share: float = 0.25
    seed: int = 1
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        if not 0 <= self.margin_frames <= 100:
            raise ValueError("margin_frames must be 0 to 100")
        if not 0 <= self.train_views <= 1000 or not 0 <= self.eval_views <= 1000:
            raise ValueError("train_views and eval_views must be 0 to 1000")
        if not 0.25 <= self.speed_low <= self.speed_high <= 4.0:
            raise ValueError("it must hold that 0.25 <= speed_low <= speed_high <= 4")
        if self.snr_low_db > self.snr_high_db or self.gain_low_db > self.gain_high_db:
            raise ValueError("snr_low_db and gain_low_db must not be above their high ends")
        if not 0.0 <= self.quiet_share <= 1.0:
            raise ValueError("quiet_share must be 0 to 1")

    def audio_features(self, sample_rate: int) -> AudioFeatures:
        """The device's parameters of the chosen front end.

        Raises:
            ValueError: if the front end cannot be had with these parameters.
        """
        if self.front_end == "micro":
            return AudioFeatures(
                front_end="micro", sample_rate=sample_rate, window_ms=30, stride_ms=10, channels=40
            )
        return AudioFeatures(
            front_end="log_mel",
            sample_rate=sample_rate,
            window_ms=self.window_ms,
            stride_ms=self.stride_ms,
            channels=self.channels,
            low_hz=self.low_hz,
            high_hz=self.high_hz,
            log_low=self.log_low,
            log_high=self.log_high,
        )

    def views_of(self, split: str, clips: int) -> int:
        """How many augmented views each of the `clips` clips of `split` gets."""
        if split != "train":
            return self.eval_views
        # Of the nearest power of two, so that the views seldom change while recordings are added:
        # each change makes all of them anew.
        about = 2 ** round(math.log2(max(1, clips)))
        return min(self.train_views, max(1, self.train_rows // about - 1))

    def views(self, sample_rate: int) -> ViewParameters:
        """What a view of a clip may be."""
        return ViewParameters(
            speed_low=self.speed_low,
            speed_high=self.speed_high,
            shift_samples=round(self.shift_ms * sample_rate / 1000),
            gain_low_db=self.gain_low_db,
            gain_high_db=self.gain_high_db,
            snr_low_db=self.snr_low_db,
            snr_high_db=self.snr_high_db,
            quiet_share=self.quiet_share,
        )


class Transform(Component):
    """Computes the device's features of every clip and of fixed augmentations of it (Beam)."""

    INPUTS = {"examples": EXAMPLES}
    OUTPUTS = {"features": FEATURES}
    PARAMETERS = TransformParameters
    EXECUTOR = "components.transform.executor:execute"
    REUSES = "features"

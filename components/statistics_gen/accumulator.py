"""Statistics of a set of clips that can be taken apart, merged and carried as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

import numpy as np

from components.records import Example

LOWEST_DB = -80
STEP_DB = 5
BINS = -LOWEST_DB // STEP_DB
_FRAME_SECONDS = 0.02


@dataclasses.dataclass
class Slice:
    """Statistics of the clips of one label in one split.

    The extremes are (value, path) of the clip that shows it most.

    Attributes:
        clips: how many there are.
        seconds: sum of the lengths of the recordings, seconds.
        shortest: the shortest recording, seconds.
        longest: the longest recording, seconds.
        peak_db: clips by peak: `BINS` bins of `STEP_DB` dB from `LOWEST_DB` to full scale; quieter
            ones in the first.
        rms_db: clips by RMS, likewise.
        loudest_rms: the highest RMS, 0 to 1.
        quietest_rms: the lowest RMS, 0 to 1.
        clipped_clips: clips with samples at full scale.
        most_clipped: the largest share of samples at full scale, 0 to 1.
        dc_offset: sum of the magnitudes of the offsets.
        largest_dc_offset: the largest magnitude of an offset, 0 to 1.
        quiet: sum over the clips of the share of 20 ms frames that are quiet.
        quiet_clips: clips that are quiet throughout.
        source_rates: clips by sample rate of the recording, Hz.
        source_channels: clips by its channels.
    """

    clips: int = 0
    seconds: float = 0.0
    shortest: tuple[float, str] = (math.inf, "")
    longest: tuple[float, str] = (-math.inf, "")
    peak_db: list[int] = dataclasses.field(default_factory=lambda: [0] * BINS)
    rms_db: list[int] = dataclasses.field(default_factory=lambda: [0] * BINS)
    loudest_rms: tuple[float, str] = (-math.inf, "")
    quietest_rms: tuple[float, str] = (math.inf, "")
    clipped_clips: int = 0
    most_clipped: tuple[float, str] = (-math.inf, "")
    dc_offset: float = 0.0
    largest_dc_offset: tuple[float, str] = (-math.inf, "")
    quiet: float = 0.0
    quiet_clips: int = 0
    source_rates: Counter[int] = dataclasses.field(default_factory=Counter)
    source_channels: Counter[int] = dataclasses.field(default_factory=Counter)

    def add(self, example: Example, quiet_share: float) -> None:
        """Takes in one clip, of which `quiet_share` is quiet."""
        path = example.path
        one = Slice(
            clips=1,
            seconds=example.source_seconds,
            shortest=(example.source_seconds, path),
            longest=(example.source_seconds, path),
            loudest_rms=(example.rms, path),
            quietest_rms=(example.rms, path),
            clipped_clips=int(example.clipped_share > 0),
            most_clipped=(example.clipped_share, path),
            dc_offset=abs(example.dc_offset),
            largest_dc_offset=(abs(example.dc_offset), path),
            quiet=quiet_share,
            quiet_clips=int(quiet_share >= 1.0),
            source_rates=Counter({example.source_rate: 1}),
            source_channels=Counter({example.source_channels: 1}),
        )
        one.peak_db[_bin(example.peak)] = 1
        one.rms_db[_bin(example.rms)] = 1
        self.merge(one)

    def merge(self, other: Slice) -> None:
        """Takes in the clips of `other`; sums depend on the order only in their last bits."""
        for name in ("clips", "seconds", "clipped_clips", "dc_offset", "quiet", "quiet_clips"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("shortest", "quietest_rms"):
            setattr(self, name, min(getattr(self, name), getattr(other, name)))
        for name in ("longest", "loudest_rms", "most_clipped", "largest_dc_offset"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        for name in ("peak_db", "rms_db"):
            sums = zip(getattr(self, name), getattr(other, name), strict=True)
            setattr(self, name, [a + b for a, b in sums])
        self.source_rates += other.source_rates
        self.source_channels += other.source_channels

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes; only for slices with clips, whose values are all finite."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Slice:
        """The slice that `to_json` gave, before or after JSON."""
        values = dict(content)
        for field in dataclasses.fields(cls):
            if field.type == "tuple[float, str]":
                values[field.name] = tuple(values[field.name])
            elif field.type == "Counter[int]":
                counts = values[field.name].items()
                values[field.name] = Counter({int(key): count for key, count in counts})
        return cls(**values)


def quiet_share(example: Example, sample_rate: int, quiet_db: float) -> float:
    """The share of the clip's whole 20 ms frames whose RMS is below `quiet_db` dB of full scale."""
    pcm = example.pcm
    size = max(1, min(len(pcm), round(_FRAME_SECONDS * sample_rate)))
    frames = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float32)
    limit = (32768 * 10 ** (quiet_db / 20)) ** 2 * size
    return float(np.mean(np.einsum("ij,ij->i", frames, frames) < limit))


def _bin(level: float) -> int:
    if level <= 0:
        return 0
    return min(BINS - 1, max(0, math.floor((20 * math.log10(level) - LOWEST_DB) / STEP_DB)))

"""The ExampleGen component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import EXAMPLES, RECORDINGS
from components.base import EXECUTION_ONLY, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleGenParameters:
    """Parameters of ExampleGen.

    Attributes:
        sample_rate: rate of the clips, Hz.
        clip_seconds: length of a clip, seconds. Longer recordings keep their middle, shorter ones
            are padded with zeros alike at both ends: what the device's evaluation does
            (`edge_agent.features.waveform.fit`), so both see the same clip.
        longest_seconds: longest recording that may stand for one word, seconds.
        val_percent: share of the speakers for validation, percent, where there are no lists.
        test_percent: share of the speakers for test, percent, where there are no lists.
        shards: files of the train split at least; the others have a quarter as many.
        shard_clips: clips a file holds on average before the files of its split double in number.
        beam_options: options of the Beam runner, each as ``--name=value``.
    """

    sample_rate: int = 16_000
    clip_seconds: float = 1.0
    longest_seconds: float = 30.0
    val_percent: float = 10.0
    test_percent: float = 10.0
    shards: int = 16
    shard_clips: int = 256
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        if not 8_000 <= self.sample_rate <= 48_000:
            raise ValueError(f"sample_rate is {self.sample_rate} Hz: it must be 8000 to 48000")
        if not 0.1 <= self.clip_seconds <= 10.0:
            raise ValueError(f"clip_seconds is {self.clip_seconds}: it must be 0.1 to 10")
        if not self.clip_seconds <= self.longest_seconds <= 600.0:
            raise ValueError("longest_seconds must be clip_seconds to 600")
        if min(self.val_percent, self.test_percent) <= 0:
            raise ValueError("val_percent and test_percent must be above 0")
        if self.val_percent + self.test_percent > 80:
            raise ValueError("val_percent and test_percent must leave 20 percent for training")
        if not 1 <= self.shards <= 10_000:
            raise ValueError(f"shards is {self.shards}: it must be 1 to 10000")
        if not 1 <= self.shard_clips <= 100_000:
            raise ValueError(f"shard_clips is {self.shard_clips}: it must be 1 to 100000")

    @property
    def clip_samples(self) -> int:
        """Samples of a clip."""
        return round(self.sample_rate * self.clip_seconds)


class ExampleGen(Component):
    """Finds, decodes, resamples, trims and splits recordings (Beam)."""

    INPUTS = {"recordings": RECORDINGS}
    OUTPUTS = {"examples": EXAMPLES}
    PARAMETERS = ExampleGenParameters
    EXECUTOR = "components.example_gen.executor:execute"
    REUSES = "examples"

"""The ImageExampleGen component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import EXAMPLES, RECORDINGS
from components.base import EXECUTION_ONLY, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageExampleGenParameters:
    """Parameters of ImageExampleGen.

    Attributes:
        val_percent: share of the pictures for validation, percent, where there are no lists.
        test_percent: share of the pictures for test, percent, where there are no lists.
        shards: files of the train split at least; the others have a quarter as many.
        shard_pictures: pictures a file holds on average before the files of its split double in number.
        beam_options: options of the Beam runner, each as ``--name=value``.
    """

    val_percent: float = 15.0
    test_percent: float = 15.0
    shards: int = 8
    shard_pictures: int = 512
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        if min(self.val_percent, self.test_percent) <= 0:
            raise ValueError("val_percent and test_percent must be above 0")
        if self.val_percent + self.test_percent > 80:
            raise ValueError("val_percent and test_percent must leave 20 percent for training")
        if not 1 <= self.shards <= 10_000:
            raise ValueError(f"shards is {self.shards}: it must be 1 to 10000")
        if not 1 <= self.shard_pictures <= 100_000:
            raise ValueError(f"shard_pictures is {self.shard_pictures}: it must be 1 to 100000")


class ImageExampleGen(Component):
    """Finds, checks and splits pictures (Beam)."""

    INPUTS = {"recordings": RECORDINGS}
    OUTPUTS = {"examples": EXAMPLES}
    PARAMETERS = ImageExampleGenParameters
    EXECUTOR = "components.image_example_gen.executor:execute"
    REUSES = "examples"

"""Statistics of a set of pictures that can be merged and carried as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

from components.picture_records import PictureExample

BINS = 16


@dataclasses.dataclass
class Slice:
    """Statistics of the pictures of one label in one split; extremes are (value, path).

    Attributes:
        clips: how many there are.
        smallest: the shorter side of the smallest picture, pixels.
        largest: the longer side of the largest, pixels.
        brightness: pictures by mean value, `BINS` bins from black to white.
        flattest: the lowest contrast, 0 to 0.5.
        even: pictures that are even: one value all over, or almost.
        colours: pictures by colours: 1 or 3.
    """

    clips: int = 0
    smallest: tuple[float, str] = (math.inf, "")
    largest: tuple[float, str] = (-math.inf, "")
    brightness: list[int] = dataclasses.field(default_factory=lambda: [0] * BINS)
    flattest: tuple[float, str] = (math.inf, "")
    even: int = 0
    colours: Counter[int] = dataclasses.field(default_factory=Counter)

    def add(self, picture: PictureExample, even_contrast: float) -> None:
        """Takes in one picture."""
        one = Slice(
            clips=1,
            smallest=(min(picture.height, picture.width), picture.path),
            largest=(max(picture.height, picture.width), picture.path),
            flattest=(picture.contrast, picture.path),
            even=int(picture.contrast < even_contrast),
            colours=Counter({picture.colours: 1}),
        )
        one.brightness[min(BINS - 1, int(picture.brightness * BINS))] = 1
        self.merge(one)

    def merge(self, other: Slice) -> None:
        """Takes in the pictures of `other`."""
        self.clips += other.clips
        self.even += other.even
        self.smallest = min(self.smallest, other.smallest)
        self.flattest = min(self.flattest, other.flattest)
        self.largest = max(self.largest, other.largest)
        both = zip(self.brightness, other.brightness, strict=True)
        self.brightness = [a + b for a, b in both]
        self.colours += other.colours

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes; only of slices with pictures, whose values are all finite."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Slice:
        """The slice that `to_json` gave, before or after JSON."""
        values = dict(content)
        for name in ("smallest", "largest", "flattest"):
            values[name] = tuple(values[name])
        values["colours"] = Counter({int(k): n for k, n in values["colours"].items()})
        return cls(**values)

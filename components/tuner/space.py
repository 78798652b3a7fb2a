"""What is searched: an architecture, and the channels of its stages."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from components.models.catalogue import ARCHITECTURES

DEPTHS = (1, 4)
FIRST_WIDTHS = (8, 48)
WIDTH_STEP = 4
GROWTHS = (1.0, 1.5, 2.0)
_WIDEST = 192


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """A point of the space.

    Attributes:
        architecture: name in `components.models.catalogue`.
        depth: how many stages, one of `DEPTHS`.
        width: channels of the first stage, before the architecture's own rounding.
        growth: by how much each stage is wider than the one before.
    """

    architecture: str
    depth: int
    width: int
    growth: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Proposal:
        """The proposal that `parameters` gave."""
        return cls(**parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        """The coordinates by name."""
        return dataclasses.asdict(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the stages, as the architecture can have them."""
        rules = ARCHITECTURES[self.architecture]
        widths: list[int] = []
        for stage in range(self.depth):
            wanted = min(self.width * self.growth**stage, _WIDEST)
            width = rules.multiple * math.ceil(wanted / rules.multiple)
            if rules.rising and widths and width <= widths[-1]:
                width = widths[-1] + rules.multiple
            widths.append(width)
        return tuple(widths)


def known(architectures: Collection[str], first: str) -> list[Proposal]:
    """Where the search begins: each of the known architectures with stages of 16 and 32 channels.

    Args:
        architectures: those that are searched.
        first: the one to begin with, if it is among them.
    """
    order = sorted(architectures, key=lambda name: (name != first, name))
    return [Proposal(architecture=name, depth=2, width=16, growth=2.0) for name in order]

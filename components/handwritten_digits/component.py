"""The HandwrittenDigits component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import RECORDINGS
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class HandwrittenDigitsParameters:
    """Parameters of HandwrittenDigits.

    Attributes:
        most: most pictures of each digit; 0 for all.
    """

    most: int = 0

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ValueError("most must be 0 or more")


class HandwrittenDigits(Component):
    """Writes the handwritten digits in scikit-learn's wheel as pictures, one folder a digit."""

    OUTPUTS = {"recordings": RECORDINGS}
    PARAMETERS = HandwrittenDigitsParameters
    EXECUTOR = "components.handwritten_digits.executor:execute"

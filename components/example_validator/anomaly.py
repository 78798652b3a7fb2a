"""One finding of the validator."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anomaly:
    """Something about the examples that is not as it should be.

    Attributes:
        severity: an error stops the run.
        what: what is wrong.
        where: the file, label or split.
        advice: what to do.
    """

    severity: Literal["error", "warning"]
    what: str
    where: str
    advice: str

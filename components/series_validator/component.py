"""The SeriesValidator component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import SCHEMA, SERIES, VALIDATION
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesValidatorParameters:
    """Thresholds of SeriesValidator. What is beyond one is a warning.

    Attributes:
        schema: ``hold`` checks channels against the schema of an earlier run; ``renew`` infers it anew.
        missing: share of a channel's values in a log that may be missing.
        still_share: share of a log's rows that a channel may keep one value for, if others change.
        drift: how many normal spreads the middle of a log's unlabelled rows may lie from that of the
            rows that teach.
    """

    schema: Literal["hold", "renew"] = "hold"
    missing: float = 0.01
    still_share: float = 0.5
    drift: float = 5.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.missing <= 1.0 or not 0.0 < self.still_share <= 1.0:
            raise ValueError("missing and still_share must be shares of 1")
        if self.drift <= 0:
            raise ValueError("drift must be above 0")


class SeriesValidator(Component):
    """Looks at every row of every log once, a block at a time."""

    INPUTS = {"series": SERIES}
    OPTIONAL_INPUTS = {"schema": SCHEMA}
    OUTPUTS = {"validation": VALIDATION, "schema": SCHEMA}
    PARAMETERS = SeriesValidatorParameters
    EXECUTOR = "components.series_validator.executor:execute"

"""The StatisticsGen component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import EXAMPLES, STATISTICS
from components.base import EXECUTION_ONLY, Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatisticsGenParameters:
    """Parameters of StatisticsGen.

    Attributes:
        quiet_db: level below which 20 ms of a clip count as quiet, dB of full scale (RMS).
        beam_options: options of the Beam runner, each as ``--name=value``.
    """

    quiet_db: float = -60.0
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        if not -120.0 <= self.quiet_db <= 0.0:
            raise ValueError(f"quiet_db is {self.quiet_db}: it must be -120 to 0")


class StatisticsGen(Component):
    """Counts, durations, levels, duplicates and speakers of the examples (Beam)."""

    INPUTS = {"examples": EXAMPLES}
    OUTPUTS = {"statistics": STATISTICS}
    PARAMETERS = StatisticsGenParameters
    EXECUTOR = "components.statistics_gen.executor:execute"

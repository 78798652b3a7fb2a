"""The SeriesExampleGen component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import RECORDINGS, SERIES
from components.base import EXECUTION_ONLY, Component

Format = Literal["csv", "nab", "wav", "mat"]
SIGNALS: tuple[Format, ...] = ("wav", "mat")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesExampleGenParameters:
    """Parameters of SeriesExampleGen.

    Attributes:
        format: ``csv``, a table a machine; ``nab``, a table of ``timestamp,value`` each beside
            ``anomaly_windows.json``; ``wav`` or ``mat``, a signal a file, healthy ones named so.
        channels: columns to watch; empty for every column of numbers that is nothing else.
        label: column that is 1 in anomalous rows; files without it count as normal throughout.
        ignore: columns that are no sensors.
        warm_up_rows: rows at each table's beginning that are normal running, and teach; of ``nab`` no
            more than the beginning that NAB does not count.
        healthy: what the name of a healthy signal, or of its folder, begins with.
        teach_share: share of each healthy signal, from its beginning, that teaches.
        sample_rate: of ``mat`` files, which do not say it, Hz.
        beam_options: options of the Beam runner; how it runs decides nothing about what it makes.
    """

    format: Format = "csv"
    channels: tuple[str, ...] = ()
    label: str = "anomaly"
    ignore: tuple[str, ...] = ("changepoint",)
    warm_up_rows: int = 400
    healthy: tuple[str, ...] = ("normal", "healthy", "good")
    teach_share: float = 0.7
    sample_rate: int = 51_200
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        if not 1 <= self.warm_up_rows <= 100_000:
            raise ValueError("warm_up_rows must be 1 to 100000")
        if not 0.0 < self.teach_share < 1.0 or not self.healthy:
            raise ValueError("teach_share must lie between 0 and 1, and healthy name something")
        if not 1 <= self.sample_rate <= 10_000_000:
            raise ValueError("sample_rate must be 1 to 10000000 Hz")


class SeriesExampleGen(Component):
    """Reads every log of a folder in blocks, with its labels (Beam; a log is an element)."""

    INPUTS = {"recordings": RECORDINGS}
    OUTPUTS = {"series": SERIES}
    PARAMETERS = SeriesExampleGenParameters
    EXECUTOR = "components.series_example_gen.executor:execute"

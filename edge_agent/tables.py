"""The tables of ``agent.toml``: what they hold, in which unit, and what is asked of it.

`edge_agent.config` reads them; `edge_agent config --example` prints them with comments.
"""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """The device itself.

    Attributes:
        id: what events call this device; empty for its host name.
        root: the device folder; empty for $STATE_DIRECTORY.
    """

    id: str = ""
    root: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repository:
    """Where releases come from.

    Attributes:
        url: http(s):// or file:// URL, or a path, of the folder with ``metadata/``.
        release: the line of releases that this device follows.
        trusted_root: root.json to trust, given from outside; needed until one is trusted.
    """

    url: str
    release: str = "keyword_spotting"
    trusted_root: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Update:
    """What an update may cost, and how often one is looked for.

    Attributes:
        rate_limit: bytes a second; None for as fast as it goes.
        time_limit: seconds for all that one update fetches.
        poll: seconds from one look of the daemon to the next.
    """

    rate_limit: int | None = None
    time_limit: float = 900.0
    poll: float = 3600.0

    def __post_init__(self) -> None:
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError("rate_limit must be at least 1 byte a second")
        if not 1 <= self.time_limit <= 86_400:
            raise ValueError("time_limit must be 1 to 86400 seconds")
        if not 1 <= self.poll <= 31 * 86_400:
            raise ValueError("poll must be 1 second to 31 days")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keyword:
    """The workload that hears.

    Attributes:
        source: ``-`` for standard input, or a WAV file, a file of raw samples, or a FIFO.
        bundle: what to run; empty for the release in the device folder.
        runtime: which interpreter.
    """

    source: str
    bundle: str = ""
    runtime: Literal["auto", "litert", "tflite_runtime"] = "auto"

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("source must be - or a path")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anomaly:
    """The workload that watches.

    Attributes:
        source: ``-`` for standard input, or a FIFO, or a file that grows; CSV or lines of JSON.
        bundle: what to run; empty for the release in the device folder.
    """

    source: str
    bundle: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("source must be - or a path")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a workload is waited for, and how it is started again; times in seconds.

    Attributes:
        start: from the start of its process to its first sign that it is ready.
        hang: without a sign of life.
        drain: from the order to end to its end.
        steady: alive for so long, it counts as well again.
        first_wait: before the second start; each further wait is twice as long.
        longest_wait: no wait is longer.
        crashes: deaths in a row that make a crash loop.
    """

    start: float = 30.0
    hang: float = 20.0
    drain: float = 10.0
    steady: float = 120.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    crashes: int = 5

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name != "crashes" and not 0.01 <= getattr(self, field.name) <= 86_400:
                raise ValueError(f"{field.name} must be 0.01 to 86400 seconds")
        if not 1 <= self.crashes <= 1000:
            raise ValueError("crashes must be 1 to 1000")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one device, by the tables of agent.toml."""

    repository: Repository | None = None
    device: Device = Device()
    update: Update = Update()
    keyword: Keyword | None = None
    anomaly: Anomaly | None = None
    limits: Limits = Limits()

"""How figures are written for people: one way for the terminal and the report."""

from __future__ import annotations

import math
from typing import Literal

Side = Literal["at least", "at most", "limit"]


def number(value: float) -> str:
    """A plain number: whole ones in full with thousands separated, others to 4 digits."""
    if not math.isfinite(value):
        return "not measured" if math.isnan(value) else "without bound"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 6)}f}".rstrip("0").rstrip(".")


def percent(share: float | None) -> str:
    """A share (0..1) as a percentage with one decimal."""
    return "–" if share is None else f"{100.0 * share:.1f}%"


def size(count: float | None) -> str:
    """A count of bytes, exact below a megabyte."""
    if count is None:
        return "–"
    return f"{count:,.0f} B" if count < 1e6 else f"{count / 1e6:.1f} MB"


def operations(count: float | None) -> str:
    """A count of operations, in thousands or millions."""
    if count is None:
        return "–"
    if count >= 1e6:
        return f"{count / 1e6:.2f} M"
    return f"{count / 1e3:.1f} k" if count >= 1e3 else f"{count:.0f}"


def milliseconds(value: float | None) -> str:
    """A latency given in milliseconds; microseconds below one."""
    if value is None:
        return "–"
    return f"{1000.0 * value:.0f} µs" if value < 1.0 else f"{value:.2f} ms"


def duration(seconds: float) -> str:
    """A span of time, as coarse as a person would say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def side(value: float, limit: float, passed: bool) -> Side:
    """Which side of its limit a gate's value has to be on, told from the verdict."""
    if value == limit:
        return "limit"
    return "at least" if (value > limit) == passed else "at most"


def words(name: str) -> str:
    """An identifier as words: ``int8_drop`` becomes ``int8 drop``."""
    return name.replace("_", " ").strip()

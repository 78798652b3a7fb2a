"""What recipes take of earlier runs."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import SCHEMA, STATISTICS
from components.base import Channel, History


def known_of(data: Path | None) -> dict[str, Channel]:
    """What earlier runs on the same folder say that the data should look like."""
    if data is None:
        return {}
    earlier = History(differs="statistics", source=data)
    return {
        "previous_statistics": Channel(STATISTICS, history=earlier),
        "schema": Channel(SCHEMA, history=earlier),
    }

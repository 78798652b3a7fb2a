"""Rows of numbers from lines of JSON: an object a line, its keys the names of the channels.

    {"time": "2026-01-01T00:00:00", "flow": 50.2, "pressure": 2.1}

Keys that are no channel are ignored; a channel that is absent or no number is missing (NaN). A line that
is no object is left out, and counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edge_agent.sources.readable import Readable
from edge_agent.sources.table import TIME_NAMES, RowBlock, TableError, seconds_of, text_lines


class JsonRows:
    """A source of rows.

    Attributes:
        unreadable: lines that were no object.
    """

    def __init__(self, stream: Readable, name: str, channels: Sequence[str]) -> None:
        """Begins at the first line.

        Args:
            stream: the bytes; UTF-8, other bytes are replaced.
            name: what errors call it.
            channels: the keys to take, in order.
        """
        self._lines = text_lines(stream, name)
        self._name = name
        self._channels = [channel.strip().casefold() for channel in channels]
        self._count = 0
        self.unreadable = 0

    def blocks(self) -> Iterator[RowBlock]:
        """The rows, as soon as they are there.

        Raises:
            TableError: if the first object holds no channel, or a line is too long to be a row.
        """
        for lines in self._lines:
            objects = [found for found in map(_object, lines) if found is not None]
            self.unreadable += len(lines) - len(objects)
            if objects:
                yield self._block(objects)

    def _block(self, objects: list[dict[str, Any]]) -> RowBlock:
        if self._count == 0 and not set(self._channels) & set(objects[0]):
            raise TableError(
                f"{self._name}: has none of the keys that the bundle watches "
                f"({', '.join(self._channels[:8])}): name them so"
            )
        rows = np.array([[_number(o.get(c)) for c in self._channels] for o in objects])
        begin, self._count = self._count, self._count + len(objects)
        times = [_time(o, begin + i) for i, o in enumerate(objects)]
        seconds = [math.nan if isinstance(time, int) else seconds_of(time) for time in times]
        return RowBlock(times=times, seconds=np.array(seconds), rows=rows)


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {key.strip().casefold(): value for key, value in found.items()}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def _time(found: dict[str, Any], number: int) -> str | int:
    """What stands under a name for the time, as text; else the row's number."""
    name = next((key for key in found if key in TIME_NAMES), None)
    return number if name is None else str(found[name])[:100]

"""Rows of numbers from delimited text, a block at a time: CSV files, and live streams of them.

The delimiter is the one of comma, semicolon, tab and bar that finds the most channels in the header;
the time column is found by its name, or by what stands in it. A cell that is no number is missing
(NaN), and so is one that is not there. One line is one row: a line break within quotes is not
supported. A spreadsheet's `sep=;` before the header is skipped. Memory is bounded by a block and the
longest line.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import datetime
import io
import itertools
import math
import operator
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.sources.readable import Readable

_DELIMITERS = (",", ";", "\t", "|")
TIME_NAMES = {"time", "timestamp", "datetime", "date_time", "date", "ts"}
_SEPARATOR = re.compile(r"\s*sep=.\s*", re.IGNORECASE)
_BLOCK_BYTES = 1 << 18
_LONGEST_LINE = 1 << 20
_AFTER_HEADER = 16  # lines that are looked at together after a header among the rows


class TableError(Exception):
    """The text cannot be read as rows; the message names the source and the next step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowBlock:
    """Some rows in order.

    Attributes:
        times: what the time column holds, or the row's number from 0 where there is none.
        seconds: the same in seconds, NaN where it is no time; shape (rows,).
        rows: shape (rows, channels), NaN where there is no number.
    """

    times: Sequence[str | int]
    seconds: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]


class Table:
    """A source of rows.

    Attributes:
        time_column: its name; None if there is none.
        ignored: columns that are neither a channel nor the time.
        absent: channels that have no column; their values are missing.
    """

    def __init__(self, stream: Readable, name: str, channels: Sequence[str]) -> None:
        """Reads the header; one that comes again among the rows holds for those after it.

        Args:
            stream: the bytes; UTF-8, other bytes are replaced.
            name: what errors call it.
            channels: the columns to take, in order.

        Raises:
            TableError: if there is no header, or no channel in it.
        """
        self._name = name
        self._lines = text_lines(stream, name)
        blocks = (without_separator(block) for block in self._lines)
        first = next((block for block in blocks if block), None)
        if first is None:
            raise TableError(f"{name}: is empty: a table begins with a line of column names")
        self._channels = list(channels)
        self._count = 0
        self._take_header(first)

    def blocks(self) -> Iterator[RowBlock]:
        """The rows, as soon as they are there.

        Raises:
            TableError: if a line is too long to be a row.
        """
        for lines in itertools.chain([self._first], self._lines):
            begin, piece = 0, len(lines)
            while begin < len(lines):
                part = lines[begin : begin + piece]
                cells = _cells(part, self._delimiter)
                block = self._block(cells)
                again = self._header_within(cells, block.rows)
                if again is None:
                    yield block
                    begin, piece = begin + len(part), 2 * piece
                    continue
                self._count -= len(cells)
                if again:
                    yield self._block(cells[:again])
                self._take_header(part[again : again + 2])
                # Where headers come often, no line is read more than a few times.
                begin, piece = begin + again + 1, _AFTER_HEADER

    def _take_header(self, lines: list[str]) -> None:
        """Goes by the header that `lines` begin with; what is left of them are the first rows."""
        channels = self._channels
        self._delimiter, header = _header(lines[0], channels)
        columns = {cell.casefold(): place for place, cell in reversed(list(enumerate(header)))}
        self._places = [columns.get(channel.strip().casefold()) for channel in channels]
        after = lines[1:]
        if all(place is None for place in self._places):
            self._places, after = self._without_header(header, channels, lines), lines
            header = [""] * len(header)
        self._first = after
        taken = {place for place in self._places if place is not None}
        self._time = self._find_time(header, taken)
        self.time_column = None if self._time is None else header[self._time] or "1"
        self.absent = [c for c, place in zip(channels, self._places, strict=True) if place is None]
        self.ignored = [
            cell for place, cell in enumerate(header) if place not in taken | {self._time}
        ]

    def _header_within(self, cells: list[list[str]], rows: npt.NDArray[np.float64]) -> int | None:
        """Place of a line that names most channels again: a file put behind another, or in its place."""
        wanted = {channel.strip().casefold() for channel in self._channels}
        for place in np.flatnonzero(np.isnan(rows).all(axis=1)).tolist():
            named = wanted & {cell.strip().casefold() for cell in cells[place]}
            if 2 * len(named) > len(wanted):
                return int(place)
        return None

    def _block(self, cells: list[list[str]]) -> RowBlock:
        width = max(p for p in [*self._places, self._time, 0] if p is not None) + 1
        padded = [row if len(row) >= width else row + [""] * (width - len(row)) for row in cells]
        present = [place for place in self._places if place is not None]
        rows = np.full((len(cells), len(self._places)), np.nan)
        rows[:, [p is not None for p in self._places]] = _numbers(padded, present, self._delimiter)
        begin, self._count = self._count, self._count + len(cells)
        if self._time is None:
            numbers = range(begin, self._count)
            return RowBlock(times=numbers, seconds=np.full(len(cells), np.nan), rows=rows)
        times = [row[self._time] for row in padded]
        return RowBlock(times=times, seconds=np.array([seconds_of(t) for t in times]), rows=rows)

    def _without_header(
        self, cells: list[str], channels: Sequence[str], lines: list[str]
    ) -> list[int | None]:
        """Places of the channels in a table that begins with numbers and has their count."""
        numbers = [not math.isnan(_number(cell, self._delimiter)) for cell in cells]
        extra = len(cells) - len(channels)
        timed = extra == 1 and not math.isnan(seconds_of(cells[0]))
        if (extra == 0 or timed) and all(numbers[extra:]):
            return list(range(extra, len(cells)))
        raise TableError(
            f"{self._name}: has none of the columns that the bundle watches "
            f"({', '.join(channels[:8])}); it begins with {lines[0][:80]!r}: name the columns so"
        )

    def _find_time(self, header: list[str], taken: set[int]) -> int | None:
        free = [place for place in range(len(header)) if place not in taken]
        for place in free:
            if header[place].casefold() in TIME_NAMES:
                return place
        row = _cells(self._first[:1], self._delimiter)[0] if self._first else []
        for place in free:
            if place < len(row) and not math.isnan(_date(row[place])):
                return place
        nameless = free[:1] if not any(header) else []
        return nameless[0] if nameless else None


def is_header(line: str) -> bool:
    """Whether `line` holds names: not JSON, and no row of numbers and times by any delimiter."""

    def is_row(delimiter: str) -> bool:
        cells = [cell.strip() for cell in _cells([line], delimiter)[0]]
        return not any(
            cell and math.isnan(_number(cell, delimiter)) and math.isnan(_date(cell))
            for cell in cells
        )

    return not line.startswith("{") and not any(map(is_row, _DELIMITERS))


def seconds_of(text: str) -> float:
    """A number, or an ISO 8601 date and time (UTC where it names no zone), in seconds; else NaN."""
    try:
        number = float(text)
    except ValueError:
        return _date(text)
    return number if math.isfinite(number) else math.nan


def _date(text: str) -> float:
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return math.nan


def text_lines(stream: Readable, name: str) -> Iterator[list[str]]:
    """Whole lines, as many as one read gives."""
    left = b""
    read = getattr(stream, "read1", stream.read)
    begun = False
    while data := read(_BLOCK_BYTES):
        if not begun and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise TableError(f"{name}: is UTF-16: save it as UTF-8 (a spreadsheet's CSV UTF-8)")
        begun = True
        whole, newline, rest = (left + data).rpartition(b"\n")
        left = rest
        if len(left) > _LONGEST_LINE:
            raise TableError(f"{name}: a line is longer than {_LONGEST_LINE} bytes: is it a table?")
        if newline:
            yield _text(whole)
    if left.strip():
        yield _text(left)


def without_separator(lines: list[str]) -> list[str]:
    """The lines without a first ``sep=;``, by which a spreadsheet tells another the delimiter."""
    return lines[1:] if lines and _SEPARATOR.fullmatch(lines[0]) else lines


def _text(data: bytes) -> list[str]:
    # A NUL would stop the csv module; it is no part of a number either.
    text = data.decode("utf-8-sig", errors="replace").replace("\0", "\ufffd")
    lines = io.StringIO(text, newline=None).read().split("\n")
    return [line for line in lines if line.strip()]


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    """The cells of each line; a quote that is not closed costs its own line alone."""
    return [_quoted(line, delimiter) if '"' in line else line.split(delimiter) for line in lines]


def _quoted(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return line.split(delimiter)


def _header(line: str, channels: Sequence[str]) -> tuple[str, list[str]]:
    wanted = {channel.strip().casefold() for channel in channels}

    def cells(delimiter: str) -> list[str]:
        return [cell.strip() for cell in _cells([line], delimiter)[0]]

    def fits(delimiter: str) -> tuple[int, int]:
        found = cells(delimiter)
        return len(wanted & {cell.casefold() for cell in found}), len(found)

    delimiter = max(_DELIMITERS, key=fits)
    return delimiter, cells(delimiter)


def _numbers(cells: list[list[str]], places: list[int], delimiter: str) -> npt.NDArray[np.float64]:
    if not places:
        return np.zeros((len(cells), 0))
    picked = map(operator.itemgetter(*places), cells)
    flat = picked if len(places) == 1 else itertools.chain.from_iterable(picked)
    try:
        values = list(map(float, flat))
    except ValueError:
        values = [_number(row[place], delimiter) for row in cells for place in places]
    return np.array(values).reshape(len(cells), len(places))


def _number(cell: str, delimiter: str) -> float:
    try:
        return float(cell)
    except ValueError:
        pass
    if delimiter != "," and cell.count(",") == 1:
        return _number(cell.replace(",", "."), ",")
    return math.nan

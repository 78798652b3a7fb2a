"""Tables: which columns to watch, and each file's rows and labels, a block at a time."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.base import UserError, warn
from components.series_example_gen.component import SeriesExampleGenParameters
from edge_agent.sources.table import (
    TIME_NAMES,
    RowBlock,
    Table,
    TableError,
    is_header,
    seconds_of,
    text_lines,
    without_separator,
)

WINDOWS = "anomaly_windows.json"
_DELIMITERS = ";,\t|"
_MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "?")
_LOOKED_AT = 1000  # lines, for what a column holds

# Rows, labels and seconds of some rows in order.
Block = tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.float64]]
# By file: begin and end of each labelled stretch, seconds.
Windows = Mapping[str, Sequence[tuple[float, float]]]


def columns(path: Path, parameters: SeriesExampleGenParameters) -> list[str]:
    """The columns of numbers in a file that are neither time, label nor ignored; says which are not.

    Raises:
        UserError: if there are none, or the first line does not name them.
    """
    lines = _first_lines(path)
    begin = f"{path}: begins with {lines[0][:60]!r}: its first line must name the columns"
    if lines[0] and not is_header(lines[0]):
        raise UserError(f"{begin}: write them into every file, devices' too")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    header, *rows = (next(csv.reader([line], delimiter=delimiter), []) for line in lines)
    cells = sorted(len(line.rstrip(delimiter + " ").split(delimiter)) for line in lines[1:])
    if cells and '"' not in "".join(lines) and cells[len(cells) // 2] > len(header):
        raise UserError(
            f"{begin}, and there are {len(header)} for {cells[len(cells) // 2]} cells below"
        )
    others = {name.casefold() for name in (parameters.label, *parameters.ignore)} | TIME_NAMES
    places = {
        name.strip(): place
        for place, name in enumerate(header)
        if name.strip() and name.strip().casefold() not in others
    }
    found = [name for name, place in places.items() if _has_numbers(rows, place)]
    if not found:
        raise UserError(
            f"{begin}, and the others hold numbers below them; there is no column of numbers to watch. "
            "ExampleGen.channels may say which to take"
        )
    if left := [n for n, p in places.items() if n not in found and not _has_times(rows, p)]:
        warn(
            f"{path}: not watched, for most of what they hold is no number: {', '.join(left[:8])}; "
            "name ExampleGen.channels if one is a sensor"
        )
    if any("\ufffd" in name for name in found):
        warn(
            f"{path}: names of columns are not UTF-8, and will not be found where a device writes them "
            f"otherwise ({', '.join(found[:8])}): save it as UTF-8"
        )
    return found


def _first_lines(path: Path) -> list[str]:
    """Up to `_LOOKED_AT` lines that are not empty; one empty line of a file without any.

    Raises:
        UserError: if it is no text of lines.
    """
    with path.open("rb") as file:
        try:
            blocks = text_lines(file, str(path))
            lines = itertools.chain.from_iterable(blocks)
            first = without_separator(
                [line.strip() for line in itertools.islice(lines, _LOOKED_AT)]
            )
            return first or [""]
        except TableError as e:
            raise UserError(str(e)) from e


def labelled_blocks(
    path: Path, channels: Sequence[str], label: str
) -> tuple[bool, Iterator[Block]]:
    """Whether the table has a column of labels, and its rows.

    Raises:
        UserError: if it is no table, or lacks a channel; so may reading its rows, where labels are no
            numbers.
    """
    table = _Opened(path, [*channels, label])
    absent = [channel for channel in table.absent if channel != label]
    if absent:
        raise UserError(
            f"{path}: lacks the columns {', '.join(absent[:8])} that other files have: take it out "
            "of the folder, or name ExampleGen.channels that every file has, or a column of labels by "
            "ExampleGen.label"
        )

    labelled = label not in table.absent

    def blocks() -> Iterator[Block]:
        rows = numbers = 0
        for block in table.blocks():
            marks = block.rows[:, -1]
            rows, numbers = rows + len(marks), numbers + int(np.isfinite(marks).sum())
            if labelled and (marks < 0).any():
                raise UserError(
                    f"{path}: its column {label} holds {marks[marks < 0][0]:g}: write 1 in anomalous rows "
                    "and 0 in the others"
                )
            yield block.rows[:, :-1], marks > 0.5, block.seconds
        if labelled and rows and not numbers:
            raise UserError(
                f"{path}: its column {label} holds no number: write 1 in anomalous rows and 0 in the "
                "others, or name the column of labels by ExampleGen.label"
            )

    return labelled, blocks()


def read_windows(folder: Path) -> Windows:
    """The labelled windows of a folder in NAB's form, by file.

    Raises:
        UserError: if they are not there, or not in that form.
    """
    path = folder / WINDOWS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: [_window(ends) for ends in windows] for name, windows in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as e:
        raise UserError(
            f"{path}: cannot be read ({e}): --format nab needs it beside the series, as NAB has it: "
            "a list of [begin, end] for each file"
        ) from e


def _window(ends: Sequence[Any]) -> tuple[float, float]:
    begin, end = (seconds_of(str(time)) for time in ends)
    if not begin <= end:  # neither is one of them no time
        raise ValueError(f"{str(ends)[:80]} is no [begin, end]")
    return begin, end


def windowed_blocks(
    path: Path, channels: Sequence[str], windows: Sequence[tuple[float, float]]
) -> Iterator[Block]:
    """The rows of a series, labelled where their time lies in one of `windows`.

    Raises:
        UserError: if it is no table, or has none of the columns.
    """
    for block in _Opened(path, channels).blocks():
        labels = np.zeros(len(block.rows), bool)
        for begin, end in windows:
            labels |= (block.seconds >= begin) & (block.seconds <= end)
        yield block.rows, labels, block.seconds


class _Opened:
    """A table whose errors are the user's."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, list(columns)
        with path.open("rb") as file:
            try:
                self.absent = Table(file, str(path), self._columns).absent
            except TableError as e:
                raise UserError(str(e)) from e

    def blocks(self) -> Iterator[RowBlock]:
        with self._path.open("rb") as file:
            try:
                yield from Table(file, str(self._path), self._columns).blocks()
            except TableError as e:
                raise UserError(str(e)) from e


def _has_numbers(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether most of a column's cells that are not missing are numbers; some may be a unit or an error."""
    cells = (row[place] for row in rows if place < len(row))
    known = [_is_number(cell) for cell in cells if cell.strip().casefold() not in _MISSING]
    return 2 * sum(known) > len(known)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell.replace(",", ".")))
    except ValueError:
        return False


def _has_times(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether the first cell of a column is a date, which says when and is no sensor."""
    cell = next((row[place] for row in rows if place < len(row)), "")
    return not math.isnan(seconds_of(cell))

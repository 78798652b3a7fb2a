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

from components.base import UserError
from components.series_example_gen.component import SeriesExampleGenParameters
from edge_agent.sources.table import TIME_NAMES, RowBlock, Table, TableError, seconds_of

WINDOWS = "anomaly_windows.json"
_DELIMITERS = ";,\t|"
_MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "?")
_LOOKED_AT = 1000  # lines, for a column's first value

# Rows, labels and seconds of some rows in order.
Block = tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.float64]]
# By file: begin and end of each labelled stretch, seconds.
Windows = Mapping[str, Sequence[tuple[float, float]]]


def columns(path: Path, parameters: SeriesExampleGenParameters) -> list[str]:
    """The columns of numbers in a file that are neither time, label nor ignored.

    Raises:
        UserError: if there are none.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = [line.strip() for line in itertools.islice(file, _LOOKED_AT)] or [""]
    delimiter = max(_DELIMITERS, key=lines[0].count)
    header, *rows = (next(csv.reader([line], delimiter=delimiter), []) for line in lines)
    others = {name.casefold() for name in (parameters.label, *parameters.ignore)} | TIME_NAMES
    found = [
        name.strip()
        for place, name in enumerate(header)
        if name.strip() and name.strip().casefold() not in others and _has_numbers(rows, place)
    ]
    if not found:
        raise UserError(
            f"{path}: has no column of numbers to watch: its first line must name the columns, and "
            "ExampleGen.channels may say which to take"
        )
    return found


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
            "of the folder, or name ExampleGen.channels that every file has"
        )

    labelled = label not in table.absent

    def blocks() -> Iterator[Block]:
        rows = numbers = 0
        for block in table.blocks():
            marks = block.rows[:, -1]
            rows, numbers = rows + len(marks), numbers + int(np.isfinite(marks).sum())
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
    """Whether the first cell of a column that is not missing is a number."""
    cells = (row[place] for row in rows if place < len(row))
    known = (cell for cell in cells if cell.strip().casefold() not in _MISSING)
    return _is_number(next(known, ""))


def _is_number(cell: str) -> bool:
    return not math.isnan(seconds_of(cell.replace(",", "."))) and not _is_date(cell)


def _is_date(cell: str) -> bool:
    return "-" in cell.strip()[1:] and ":" in cell

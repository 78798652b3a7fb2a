"""Reading a folder of CSV files: the columns to watch, and each file's rows and labels."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.base import UserError
from edge_agent.anomaly.rows import Rows
from edge_agent.sources.table import Table, TableError, seconds_of

_DELIMITERS = ";,\t|"
_TIME_NAMES = {"time", "timestamp", "datetime", "date_time", "date", "ts"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
    """One file: `name` below the folder, its `rows`, and whether each is labelled anomalous."""

    name: str
    rows: Rows
    labels: npt.NDArray[np.bool_]
    labelled: bool


def find(folder: Path) -> list[Path]:
    """The CSV files of a folder, in the order of their names.

    Raises:
        UserError: if there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".csv")
    if not paths:
        raise UserError(f"{folder}: holds no .csv file: --data names a folder of sensor logs")
    return paths


def columns(path: Path, label: str, ignore: Sequence[str]) -> list[str]:
    """The columns of numbers in a file that are neither time, label nor ignored.

    Raises:
        UserError: if there are none.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = [file.readline().strip(), file.readline().strip()]
    delimiter = max(_DELIMITERS, key=lines[0].count)
    header, first = (next(csv.reader([line], delimiter=delimiter), []) for line in lines)
    others = {name.casefold() for name in (label, *ignore)} | _TIME_NAMES
    found = [
        name.strip()
        for name, cell in zip(header, first, strict=False)
        if name.strip() and name.strip().casefold() not in others and _is_number(cell)
    ]
    if not found:
        raise UserError(
            f"{path}: has no column of numbers to watch: its first line must name the columns, and "
            "AnomalyTrainer.channels may say which to take"
        )
    return found


def read(path: Path, name: str, channels: Sequence[str], label: str) -> Log:
    """The rows of one file.

    Raises:
        UserError: if it is no table, or lacks a channel.
    """
    try:
        with path.open("rb") as file:
            table = Table(file, str(path), [*channels, label])
            rows = np.concatenate(
                [np.zeros((0, len(channels) + 1)), *(block.rows for block in table.blocks())]
            )
    except TableError as e:
        raise UserError(str(e)) from e
    absent = [channel for channel in table.absent if channel != label]
    if absent:
        raise UserError(
            f"{path}: lacks the columns {', '.join(absent[:8])} that other files have: take it out "
            "of the folder, or name AnomalyTrainer.channels that every file has"
        )
    labelled = label not in table.absent
    return Log(name=name, rows=rows[:, :-1], labels=rows[:, -1] > 0.5, labelled=labelled)


def _is_number(cell: str) -> bool:
    return not math.isnan(seconds_of(cell.replace(",", "."))) and not _is_date(cell)


def _is_date(cell: str) -> bool:
    return "-" in cell.strip()[1:] and ":" in cell

"""A Series artifact: logs of machines as arrays, and which of their rows teach what is normal.

    series.json         {"format", "channels": [...], "sample_rate": Hz of signals, or null,
                        "warm_up_rows", "logs": [LogRecord, ...]}
    00000.rows.npy      float64 (rows, channels) of the first log, float32 of signals; NaN where missing
    00000.labels.npy    bool (rows,): whether the row is labelled anomalous
    00000.seconds.npy   float64 (rows,): its time, NaN where there is none

Arrays are mapped, not read: a log may be larger than the memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_json, write_json
from edge_agent.decoding import decode

BLOCK_ROWS = 65_536
KINDS = ("rows", "labels", "seconds")
_NAME = "series.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogRecord:
    """What is known of a log without opening its arrays.

    Attributes:
        name: its path below the folder of data.
        rows: how many it has.
        labelled: whether it says which rows are anomalous.
        teaches: rows at its beginning that are normal and teach; 0 if it is for measuring alone.
        beside: name of the normal log that one which is anomalous throughout is held against.
    """

    name: str
    rows: int
    labelled: bool
    teaches: int
    beside: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """The content of ``series.json``.

    Attributes:
        format: what the data came as.
        channels: names of the columns.
        sample_rate: of signals, Hz; None of rows.
        warm_up_rows: rows at the beginning of a stream that the device learns its machine from.
        logs: in the order of their names.
    """

    format: str
    channels: tuple[str, ...]
    sample_rate: int | None
    warm_up_rows: int
    logs: tuple[LogRecord, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
    """One log, its arrays mapped; `record` says what it is."""

    record: LogRecord
    rows: npt.NDArray[Any]
    labels: npt.NDArray[np.bool_]
    seconds: npt.NDArray[np.float64]

    def blocks(self, begin: int = 0) -> Iterator[npt.NDArray[np.float64]]:
        """The rows from `begin` on as float64, `BLOCK_ROWS` at a time."""
        for start in range(begin, len(self.rows), BLOCK_ROWS):
            yield np.asarray(self.rows[start : start + BLOCK_ROWS], np.float64)

    def teaching(self) -> npt.NDArray[np.float64]:
        """The rows that teach."""
        return np.asarray(self.rows[: self.record.teaches], np.float64)


def array_path(folder: Path, number: int, kind: str) -> Path:
    """The file of the `number`-th log's ``rows``, ``labels`` or ``seconds``."""
    return folder / f"{number:05d}.{kind}.npy"


def write_series(folder: Path, series: Series) -> None:
    """Writes ``series.json``; the arrays must be there."""
    write_json(folder / _NAME, dataclasses.asdict(series))


def read_series(folder: Path) -> Series:
    """What the artifact in `folder` holds."""
    return decode(Series, read_json(folder / _NAME))


def open_log(folder: Path, series: Series, number: int) -> Log:
    """The `number`-th log."""
    arrays = {
        kind: np.load(array_path(folder, number, kind), mmap_mode="r", allow_pickle=False)
        for kind in KINDS
    }
    return Log(record=series.logs[number], **arrays)


def open_logs(folder: Path, series: Series) -> list[Log]:
    """All logs, in order."""
    return [open_log(folder, series, number) for number in range(len(series.logs))]

"""What one log looks like, from one pass over its rows in blocks of bounded memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from components.series import BLOCK_ROWS, Log
from edge_agent.anomaly.rows import present

_SAMPLE = 50_000  # rows, evenly spread, that middles are taken of

Float64 = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """One log; arrays have a figure for each channel.

    Attributes:
        name: the log's.
        rows: how many.
        anomalous: share of the rows that are labelled so.
        missing: share of the values that are no numbers.
        still: most rows in a row that one value was kept.
        middle: median of the rows that teach; NaN where nothing is known.
        spread: their median deviation, scaled to a standard deviation.
        later: median of the other rows that are not labelled anomalous; NaN where there are none.
        backwards: rows whose time is before that of the row before them.
        repeated: rows with the time and the values of the row before them.
        gaps: steps in time more than ten times as long as the middle one.
    """

    name: str
    rows: int
    anomalous: float
    missing: Float64
    still: npt.NDArray[np.int64]
    middle: Float64
    spread: Float64
    later: Float64
    backwards: int
    repeated: int
    gaps: int


def survey(log: Log) -> Survey:
    """Looks at one log."""
    channels = log.rows.shape[1]
    missing = np.zeros(channels)
    still, run = np.ones(channels, np.int64), np.zeros(channels, np.int64)
    repeated = 0
    last: Float64 | None = None
    begin = 0
    for block in log.blocks():
        missing += (~present(block)).sum(axis=0)
        before = np.concatenate([np.full((1, channels), np.nan) if last is None else last, block])
        same = before[1:] == before[:-1]
        place = np.arange(len(block))[:, None]
        changed = np.maximum.accumulate(np.where(same, -1, place), axis=0)
        length = np.where(changed < 0, run + place + 1, place - changed + 1)
        still, run = np.maximum(still, length.max(axis=0)), length[-1]
        times = np.asarray(log.seconds[max(begin - 1, 0) : begin + len(block)])
        if len(times) > len(block):
            repeated += int((same.all(axis=1) & (np.diff(times) == 0)).sum())
        else:
            repeated += int((same[1:].all(axis=1) & (np.diff(times) == 0)).sum())
        last, begin = block[-1:], begin + len(block)
    taught, later = _samples(log)
    middle = _median(taught)
    steps = _steps(log)
    return Survey(
        name=log.record.name,
        rows=len(log.rows),
        anomalous=float(log.labels.mean()) if len(log.labels) else 0.0,
        missing=missing / max(1, len(log.rows)),
        still=still,
        middle=middle,
        spread=1.4826 * _median(np.abs(taught - middle)),
        later=_median(later),
        backwards=steps[0],
        repeated=repeated,
        gaps=steps[1],
    )


def _samples(log: Log) -> tuple[Float64, Float64]:
    """Rows that teach, and later ones that are not labelled, at most `_SAMPLE` of each."""
    teaches = log.record.teaches
    found = []
    for begin, end in ((0, teaches), (teaches, len(log.rows))):
        step = max(1, (end - begin) // _SAMPLE)
        rows = np.array(log.rows[begin:end:step], np.float64)
        rows[~present(rows)] = np.nan
        found.append(rows[~np.array(log.labels[begin:end:step])])
    return found[0], found[1]


def _median(rows: Float64) -> Float64:
    known = np.isfinite(rows).any(axis=0)
    middle = np.full(rows.shape[1], np.nan)
    if len(rows) and known.any():
        middle[known] = np.nanmedian(rows[:, known], axis=0)
    return middle


def _steps(log: Log) -> tuple[int, int]:
    """How many steps in time go backwards, and how many are gaps."""
    seconds = log.seconds
    sample = np.diff(np.asarray(seconds[:_SAMPLE]))
    sample = sample[np.isfinite(sample) & (sample > 0)]
    usual = float(np.median(sample)) if len(sample) else np.inf
    backwards = gaps = 0
    for begin in range(0, len(seconds), BLOCK_ROWS):
        steps = np.diff(np.asarray(seconds[max(begin - 1, 0) : begin + BLOCK_ROWS]))
        backwards += int((steps < 0).sum())
        gaps += int((steps > 10 * usual).sum())
    return backwards, gaps

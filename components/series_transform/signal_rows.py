"""Signals become rows of features, block by block, and faults are mixed into healthy signals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.base import Progress, UserError
from components.growing_array import GrowingArray
from components.series import Log, LogRecord, Series, array_path, write_series
from components.series_transform.mixing import mix, partner
from edge_agent.features.series import VibrationFeatures

_BLOCK_WINDOWS = 64
_MOST_MIXED = 1 << 22  # samples of a signal that are mixed

Signal = npt.NDArray[np.float64]


def rows_of_signals(
    logs: Sequence[Log],
    series: Series,
    vibration: VibrationFeatures,
    mix_db: Sequence[float],
    folder: Path,
) -> Series:
    """Writes the Series of rows of features: one of each signal, and of each mixture.

    Raises:
        UserError: naming a signal that is shorter than a row needs, or not finite.
    """
    progress = Progress(float(sum(len(log.rows) for log in logs)), "samples")
    records, done = [], 0
    logs = _with_partners(logs)
    for number, log in enumerate(logs):
        records.append(_write(folder, number, log, vibration))
        done += len(log.rows)
        progress.at(done)
    for mixture in _mixtures(logs, mix_db):
        if vibration.count(len(mixture.rows)):
            records.append(_write(folder, len(records), mixture, vibration))
    alone = len(series.channels) == 1
    names = [
        name if alone else f"{channel} {name}"
        for channel in series.channels
        for name in vibration.names
    ]
    made = dataclasses.replace(series, channels=tuple(names), logs=tuple(records))
    write_series(folder, made)
    return made


def _write(folder: Path, number: int, log: Log, vibration: VibrationFeatures) -> LogRecord:
    count, step = vibration.count(len(log.rows)), vibration.step
    if not count:
        raise UserError(
            f"{log.record.name}: holds {len(log.rows)} samples, and a row of features takes "
            f"{vibration.window}: leave it out, or set Transform.spectrum"
        )
    width = len(vibration.names) * log.rows.shape[1]
    with GrowingArray(array_path(folder, number, "rows"), "f8", (width,)) as rows:
        for begin in range(0, count, _BLOCK_WINDOWS):
            end = min(count, begin + _BLOCK_WINDOWS)
            piece = log.rows[begin * step : (end - 1) * step + vibration.window]
            try:
                made = [vibration.of(c) for c in np.asarray(piece, np.float64).T]
            except ValueError as e:
                raise UserError(f"{log.record.name}: {e}: record it again or leave it out") from e
            rows.append(np.concatenate(made, axis=1))
    begins = np.arange(count) * step
    np.save(array_path(folder, number, "labels"), log.labels[begins])
    np.save(array_path(folder, number, "seconds"), log.seconds[begins])
    return dataclasses.replace(log.record, rows=count, teaches=vibration.count(log.record.teaches))


def _with_partners(logs: Sequence[Log]) -> list[Log]:
    """Each faulty signal beside the healthy one of its speed."""
    healthy = [log.record.name for log in logs if log.record.teaches]
    return [
        log
        if log.record.teaches
        else dataclasses.replace(
            log, record=dataclasses.replace(log.record, beside=partner(log.record.name, healthy))
        )
        for log in logs
    ]


def _mixtures(logs: Sequence[Log], mix_db: Sequence[float]) -> Iterator[Log]:
    """Each faulty signal in what a healthy one has left after teaching."""
    healthy = {log.record.name: log for log in logs if log.record.teaches}
    for log in logs:
        if log.record.beside is None:
            continue
        other = healthy[log.record.beside]
        left = other.rows[other.record.teaches :]
        count = min(len(left), len(log.rows), _MOST_MIXED)
        parts = [np.asarray(rows[:count], np.float64) for rows in (left, log.rows)]
        for level in mix_db:
            mixed = mix(parts[0], parts[1], level)
            yield dataclasses.replace(
                log,
                record=dataclasses.replace(
                    log.record, name=f"{log.record.name} at {level:g} dB", rows=count
                ),
                rows=mixed,
                labels=log.labels[:count],
                seconds=log.seconds[:count],
            )

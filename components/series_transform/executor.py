"""Executor of SeriesTransform."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.artifacts import write_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.series import (
    KINDS,
    Series,
    array_path,
    open_logs,
    read_series,
    write_series,
)
from components.series_transform.component import SeriesTransformParameters
from components.series_transform.preprocessing import Preprocessing, seen_by_detectors
from components.series_transform.senses import senses_of
from components.series_transform.signal_rows import rows_of_signals
from components.series_transform.windows import Windows, widened, windows_of
from edge_agent.anomaly.rows import Rows, present
from edge_agent.anomaly.wandering import WanderingSettings
from edge_agent.decoding import encode
from edge_agent.features.series import VibrationFeatures


def execute(inputs: Inputs, outputs: Outputs, parameters: SeriesTransformParameters) -> Metrics:
    """Writes the rows that detectors take, and the windows that networks learn.

    Raises:
        UserError: if a signal is shorter than one row of features needs, or the parameters do not fit,
            such as a sense of channels that do not exist.
    """
    series = read_series(inputs["series"])
    logs = open_logs(inputs["series"], series)
    vibration = None
    if series.sample_rate is None:
        _take_over(inputs["series"], outputs["series"], series)
    else:
        try:
            vibration = VibrationFeatures(
                sample_rate=series.sample_rate,
                window=parameters.spectrum,
                segment=parameters.segment,
                bands=parameters.bands,
                hop=max(1, round(parameters.spectrum * (1.0 - parameters.overlap))),
            )
        except ValueError as e:
            raise UserError(f"Transform: {e}") from e
        series = rows_of_signals(logs, series, vibration, parameters.mix_db, outputs["series"])
        logs = open_logs(outputs["series"], series)
    preprocessing = _preprocessing(parameters, vibration, series.channels)
    taught = [log.teaching() for log in logs if log.record.teaches]
    if not any(map(_changes, taught)):
        raise UserError(
            "no channel changes in the rows that teach, of any log: there is nothing to learn from; do "
            "the sensors work, and does ExampleGen.channels name them?"
        )
    seen = seen_by_detectors(taught, preprocessing, warm_up_rows=series.warm_up_rows)
    train, val = _split(seen, parameters)
    _write(outputs["features"], train, val, parameters.seed)
    write_json(
        outputs["features"] / "features.json",
        {
            "preprocessing": encode(preprocessing),
            "frames": parameters.window,
            "margin_frames": 0,
            "channels": list(series.channels),
        },
    )
    rows = sum(record.rows for record in series.logs)
    return {"rows": float(rows), "windows": float(len(train.codes))}


def _changes(rows: Rows) -> bool:
    known = np.where(present(rows), rows, np.nan)
    return bool((np.fmax.reduce(known, axis=0) > np.fmin.reduce(known, axis=0)).any())


def _preprocessing(
    parameters: SeriesTransformParameters,
    vibration: VibrationFeatures | None,
    channels: Sequence[str],
) -> Preprocessing:
    wandering = None
    if parameters.wandering_limit:
        wandering = WanderingSettings(
            limit=parameters.wandering_limit, alpha=parameters.wandering_alpha
        )
    return Preprocessing(
        normaliser=parameters.normaliser,
        wandering=wandering,
        window=parameters.window,
        vibration=vibration,
        senses=senses_of(parameters.senses, channels),
    )


def _take_over(source: Path, folder: Path, series: Series) -> None:
    """The same rows: a second name for each file, or a copy where the disk has no such thing."""
    for number in range(len(series.logs)):
        for kind in KINDS:
            made = array_path(source, number, kind)
            try:
                os.link(made, array_path(folder, number, kind))
            except OSError:
                shutil.copyfile(made, array_path(folder, number, kind))
    write_series(folder, series)


def _split(seen: Sequence[Rows], parameters: SeriesTransformParameters) -> tuple[Windows, Windows]:
    """Windows to learn, and those of each log's last rows to validate with."""
    parts: tuple[list[Windows], list[Windows]] = ([], [])
    for rows in seen:
        cut = round(len(rows) * (1 - parameters.val_share))
        parts[0].append(windows_of(rows[:cut], parameters.window))
        parts[1].append(windows_of(rows[cut - parameters.window :], parameters.window))
    train, val = (
        Windows(
            codes=np.concatenate([w.codes for w in part]),
            next=np.concatenate([w.next for w in part]),
        )
        for part in parts
    )
    if not len(train.codes) or not len(val.codes):
        raise UserError(
            f"the rows that teach hold no window of {parameters.window} rows with one after it: give "
            "longer normal running, or set Transform.window"
        )
    return train, val


def _write(folder: Path, train: Windows, val: Windows, seed: int) -> None:
    wider = widened(train.codes, seed)
    view = np.repeat(np.array([0, 1], np.int32), [len(train.codes), len(wider)])
    np.save(folder / "train.codes.npy", np.concatenate([train.codes, wider]))
    np.save(folder / "train.next.npy", np.concatenate([train.next, train.next]))
    np.savez(folder / "train.index.npz", view=view)
    np.save(folder / "val.codes.npy", val.codes)
    np.save(folder / "val.next.npy", val.next)

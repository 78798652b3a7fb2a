"""Executor of SeriesExampleGen: finds the logs, writes each as arrays with Beam, sums up."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.base import Inputs, Metrics, Outputs, UserError, warn
from components.beam_shards import run_shards
from components.growing_array import GrowingArray
from components.series import KINDS, LogRecord, Series, array_path, write_series
from components.series_example_gen.component import SIGNALS, SeriesExampleGenParameters
from components.series_example_gen.opening import Plan, open_log_file, plan_of
from edge_agent.anomaly import nab

_SUFFIX = {"csv": ".csv", "nab": ".csv", "wav": ".wav", "mat": ".mat"}
_TAUGHT_BY = 0.1  # most anomalous rows that a warm-up may hold


def execute(inputs: Inputs, outputs: Outputs, parameters: SeriesExampleGenParameters) -> Metrics:
    """Writes the Series artifact.

    Raises:
        UserError: for files that cannot be read, or that hold nothing normal to learn from.
    """
    root, folder = inputs["recordings"].resolve(), outputs["series"].resolve()
    paths = _find(root, _SUFFIX[parameters.format])
    found = list(
        run_shards(
            functools.partial(_write, root, folder, plan_of(root, paths, parameters)),
            list(enumerate(paths)),
            folder=folder,
            reads=[root],
            beam_options=parameters.beam_options,
            weights=[float(path.stat().st_size) for path in paths],
            unit="bytes",
        )
    )
    for summary in found:
        if "error" in summary:
            raise UserError(summary["error"])
    kept = [number for number, summary in enumerate(found) if _teaches_or_measures(summary)]
    if not any(found[number]["record"]["teaches"] for number in kept):
        raise _nothing_normal(root, parameters)
    _keep(folder, kept, len(found))
    _demand_alike(root, [found[number] for number in kept])
    write_series(
        folder,
        Series(
            format=parameters.format,
            channels=tuple(found[kept[0]]["channels"]),
            sample_rate=found[kept[0]]["sample_rate"],
            warm_up_rows=0 if parameters.format in SIGNALS else parameters.warm_up_rows,
            logs=tuple(LogRecord(**found[number]["record"]) for number in kept),
        ),
    )
    rows = sum(found[number]["record"]["rows"] for number in kept)
    return {"logs": float(len(kept)), "rows": float(rows)}


def _find(root: Path, suffix: str) -> list[Path]:
    files = [path for path in root.rglob("*") if path.suffix.lower() in set(_SUFFIX.values())]
    paths = sorted(path for path in files if path.suffix.lower() == suffix)
    if not paths:
        others = ", ".join(sorted({path.suffix.lower() for path in files}))
        meant = f"; there are {others} files: --format says what to read" if others else ""
        raise UserError(f"{root}: holds no {suffix} file: --data names a folder of logs{meant}")
    return paths


def _write(root: Path, folder: Path, plan: Plan, shard: tuple[int, Path]) -> dict[str, Any]:
    """Writes the arrays of one log; what is wrong with it is said in the summary."""
    number, path = shard
    name = path.relative_to(root).as_posix()
    if not path.stat().st_size:
        nothing = LogRecord(name=name, rows=0, labelled=False, teaches=0)
        return {"record": dataclasses.asdict(nothing), "left_out": "it is empty"}
    try:
        log = open_log_file(path, name, plan)
        kind = "f4" if log.sample_rate else "f8"
        with (
            GrowingArray(array_path(folder, number, "rows"), kind, (len(log.channels),)) as rows,
            GrowingArray(array_path(folder, number, "labels"), bool) as labels,
            GrowingArray(array_path(folder, number, "seconds"), "f8") as seconds,
        ):
            for block in log.blocks:
                for array, part in zip((rows, labels, seconds), block, strict=True):
                    array.append(part)
    except UserError as e:
        return {"error": str(e)}
    marked = np.load(array_path(folder, number, "labels"), mmap_mode="r")
    teaches, reason = _teaches(marked, plan.parameters)
    record = LogRecord(name=name, rows=rows.rows, labelled=log.labelled, teaches=teaches)
    return {
        "channels": list(log.channels),
        "sample_rate": log.sample_rate,
        "record": dataclasses.asdict(record),
        "left_out": reason,
    }


def _teaches(labels: Any, parameters: SeriesExampleGenParameters) -> tuple[int, str]:
    """How many rows of a log teach, and why it is left out altogether, if it is."""
    if parameters.format in SIGNALS:
        healthy = bool(len(labels)) and not labels[0]
        return round(parameters.teach_share * len(labels)) * healthy, ""
    rows = parameters.warm_up_rows
    if parameters.format == "nab":
        rows = min(rows, nab.probation(len(labels)))
    if not rows or len(labels) <= rows:
        return 0, f"{len(labels)} rows, and {rows} are the warm-up"
    share = float(labels[:rows].mean())
    if share > _TAUGHT_BY:
        return 0, f"{100 * share:.0f}% of its warm-up is labelled anomalous"
    return rows, ""


def _teaches_or_measures(summary: dict[str, Any]) -> bool:
    if summary["left_out"]:
        warn(f"{summary['record']['name']}: left out: {summary['left_out']}")
    return not summary["left_out"]


def _nothing_normal(root: Path, parameters: SeriesExampleGenParameters) -> UserError:
    if parameters.format in SIGNALS:
        return UserError(
            f"{root}: no file is named as a healthy one, so there is nothing normal to learn from: "
            f"begin the names of healthy signals, or of their folder, with one of "
            f"{', '.join(parameters.healthy)}, or set ExampleGen.healthy"
        )
    return UserError(
        f"{root}: no file has more than {parameters.warm_up_rows} rows of which the first "
        f"{parameters.warm_up_rows} are normal: there is nothing normal to learn from; give longer "
        "logs, or set ExampleGen.warm_up_rows"
    )


def _keep(folder: Path, kept: Sequence[int], count: int) -> None:
    """Removes the arrays of the other logs, and numbers what is left from 0."""
    for number in set(range(count)) - set(kept):
        for kind in KINDS:
            array_path(folder, number, kind).unlink(missing_ok=True)
    for place, number in enumerate(kept):
        for kind in KINDS:
            os.replace(array_path(folder, number, kind), array_path(folder, place, kind))


def _demand_alike(root: Path, summaries: Sequence[dict[str, Any]]) -> None:
    rates = sorted({summary["sample_rate"] or 0 for summary in summaries})
    widths = sorted({len(summary["channels"]) for summary in summaries})
    if len(rates) > 1 or len(widths) > 1:
        raise UserError(
            f"{root}: the signals differ, {rates} Hz and {widths} channels: resample them, or put "
            "each kind into a folder of its own"
        )

"""Rows that were watched for anomalies, as tables and pictures for the template."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pipeline.report import plots
from pipeline.report.quality import Bar, FigureRow
from pipeline.ui.figures import number, percent, size, words

Arrays = Mapping[str, npt.NDArray[Any]]

_MOST_BARS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorRow:
    """One detector that was compared, as text; `taken` marks the one in the bundle."""

    name: str
    taken: bool
    auc: str
    false_alarms: str
    missed: str
    size: str
    state: str
    arena: str
    macs: str
    row_us: str
    int8: str
    objections: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileRow:
    """One log, as text."""

    name: str
    auc: str
    control: str
    false_alarms: str
    missed: str
    delay: str
    alarms: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawn:
    """One log as a picture, and which channels its alarms came from."""

    name: str
    picture: Markup
    channels: list[Bar]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesSection:
    """Everything that the report says of watched rows.

    Attributes:
        detector: which one was taken.
        why: the reason.
        figures: what it reached.
        detectors: all that were compared, the best first.
        files: all logs, the worst first.
        drawn: some logs as pictures.
    """

    detector: str
    why: str
    figures: list[FigureRow]
    detectors: list[DetectorRow]
    files: list[FileRow]
    drawn: list[Drawn]


def series_section(evaluation: Mapping[str, Any], traces: Arrays) -> SeriesSection:
    """The content of an evaluation.json of rows, and of the traces beside it, as text and pictures."""
    compared = evaluation["compared"]
    ranked = sorted(compared, key=lambda name: -(compared[name]["quality"] or 0.0))
    files = sorted(evaluation["files"], key=lambda f: 2.0 if f["roc_auc"] is None else f["roc_auc"])
    return SeriesSection(
        detector=words(evaluation["detector"]),
        why=evaluation["why"],
        figures=_figures(evaluation),
        detectors=[_detector(n, compared[n], n == evaluation["detector"]) for n in ranked],
        files=[_file(file) for file in files],
        drawn=[
            _drawn(name, place, evaluation["channels"], traces)
            for place, name in enumerate(evaluation["traces"])
            if f"{place}.score" in traces
        ],
    )


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _figures(evaluation: Mapping[str, Any]) -> list[FigureRow]:
    crosswise = evaluation["crosswise"] or {}
    rows = [
        (
            "ROC-AUC",
            _three(evaluation["roc_auc"]),
            "Mean over the logs, row by row, nothing adjusted.",
        ),
        (
            "ROC-AUC of the best control",
            _three(evaluation["control_roc_auc"]),
            "What the row's number or silence would reach.",
        ),
        (
            "Quality, chosen crosswise",
            _three(crosswise.get("quality")),
            "ROC-AUC, or NAB's standard score of 1: detector and threshold of each half of the logs "
            "chosen on the other half.",
        ),
        (
            "False alarms, chosen crosswise",
            _share(crosswise.get("false_alarm_rate")),
            "The same, of normal rows.",
        ),
        (
            "Missed, chosen crosswise",
            _share(crosswise.get("missed_rate")),
            "The same, of anomalous rows.",
        ),
        (
            "Logs that it does not fit",
            ", ".join(evaluation["strays"]) or "none",
            "They alarm in more than half of their rows, which nobody labelled, and had no say in the "
            "threshold. Begin them where they run as they do later, or label what is anomalous.",
        ),
        ("Average precision", _three(evaluation["pr_auc"]), "Mean over the logs."),
        ("False alarms", _share(evaluation["false_alarm_rate"]), "Of normal rows, alarm on."),
        ("Missed", _share(evaluation["missed_rate"]), "Of anomalous rows, alarm off."),
        ("F1", _three(evaluation["f1"]), "At the threshold that normal rows gave."),
        ("F1 of an alarm always on", _three(evaluation["control_f1"]), "What F1 is worth here."),
        (
            "Faults found",
            _share(evaluation["faults_found"]),
            "Labelled stretches in which an alarm was on.",
        ),
        (
            "Delay",
            "–" if evaluation["delay_rows"] is None else f"{number(evaluation['delay_rows'])} rows",
            "Median over the faults found.",
        ),
        (
            "Alarms a day",
            "–"
            if evaluation["alarms_per_day"] is None
            else number(round(evaluation["alarms_per_day"], 2)),
            "Of the time that the logs cover.",
        ),
    ]
    for missing, means in evaluation["without"].items():
        meaning = f"Without {missing} behind the rows that teach: what the other senses find."
        rows += [
            ("ROC-AUC, a sense missing", _three(means["roc_auc"]), meaning),
            ("False alarms, a sense missing", _share(means["false_alarm_rate"]), meaning),
            ("Missed, a sense missing", _share(means["missed_rate"]), meaning),
        ]
    for profile, score in (evaluation["nab"] or {}).items():
        meaning = (
            "NAB's score, the threshold of each series taken from the others; silence gets 0, knowing "
            f"nothing {evaluation['nab_control'][profile]:.1f}."
        )
        rows.append((f"NAB, {words(profile)}", f"{score:.1f}", meaning))
    return [FigureRow(name=n, value=v, meaning=m) for n, v, m in rows if v != "–"]


def _detector(name: str, found: Mapping[str, Any], taken: bool) -> DetectorRow:
    int8 = "–"
    if found["int8_drop"] is not None:
        int8 = f"{found['int8_drop']:+.3f}, at most {found['int8_file_drop']:+.3f} on a file"
    return DetectorRow(
        name=words(name),
        taken=taken,
        auc=_three(found["quality"]),
        false_alarms=_share(found["false_alarm_rate"]),
        missed=_share(found["missed_rate"]),
        size=size(found["bytes"]),
        state=size(found["state_bytes"]),
        arena=size(found["arena_bytes"]) if found["arena_bytes"] else "–",
        macs=number(found["macs"]),
        row_us=f"{found['row_us']:.0f} µs",
        int8=int8,
        objections="; ".join(found["objections"]),
    )


def _file(file: Mapping[str, Any]) -> FileRow:
    delays = [delay for delay in file["delays"] if delay is not None]
    return FileRow(
        name=file["file"],
        auc=_three(file["roc_auc"]),
        control=_three(file["control_roc_auc"]),
        false_alarms=_share(file["false_alarm_rate"]),
        missed=_share(file["missed_rate"]),
        delay=number(delays[0]) if delays else "–",
        alarms=number(file["alarms"]),
    )


def _drawn(name: str, place: int, channels: Sequence[str], traces: Arrays) -> Drawn:
    trace = {key: traces[f"{place}.{key}"] for key in plots.TRACE}
    return Drawn(
        name=name,
        picture=plots.trace(name, trace, channels),
        channels=_contributions(trace, channels),
    )


def _contributions(trace: Arrays, channels: Sequence[str]) -> list[Bar]:
    """Which channels the score came from where an alarm was on, largest first."""
    alarmed = trace["shares"][trace["on"]]
    if not len(alarmed):
        return []
    total = alarmed.sum(axis=0)
    part = total / max(float(total.sum()), 1e-12)
    order = np.argsort(-part)[:_MOST_BARS]
    return [
        Bar(name=channels[i], share=float(part[i]), value=percent(float(part[i])), note="")
        for i in order.tolist()
    ]

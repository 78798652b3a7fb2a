"""Assembling the report: payloads in, one HTML file out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.report import plots
from pipeline.report.data import clip_table, copies, level_table
from pipeline.report.device import cost_rows, device
from pipeline.report.mistakes import Mistake, worst_mistakes
from pipeline.report.payloads import Payloads, read_payloads
from pipeline.report.pictures import size_table, worst_pictures
from pipeline.report.quality import confusion, figure_rows, label_bars, speaker_bars
from pipeline.report.series import series_section
from pipeline.report.verdict import gate_rows, tiles, verdict
from pipeline.ui.figures import duration, number

_TEMPLATES = (Path(__file__).parent / "templates", Path(__file__).parents[1] / "ui")


def write_report(
    path: Path, report: Mapping[str, Any], artifacts: Mapping[str, Path], recordings: Path
) -> None:
    """Writes the HTML report of a run: one file, whole or not at all, that loads nothing else.

    Args:
        path: where to write it.
        report: the content of report.json.
        artifacts: artifact folders by ``ComponentId.output``; a missing one costs its section.
        recordings: the folder that the paths of recordings are relative to.
    """
    page = render(report, read_payloads(artifacts), recordings)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def render(report: Mapping[str, Any], payloads: Payloads, recordings: Path) -> str:
    """The page as text; reads the recordings of the worst mistakes."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(
        name=report["model"]["name"],
        recipe=report["recipe"],
        run=report["run"],
        bundle=report["bundle"],
        verdict=verdict(report, payloads.release),
        tiles=tiles(report, payloads),
        gates=gate_rows(report["gates"]),
        steps=[(s["id"], duration(s["seconds"]), s["seconds"]) for s in report.get("steps", [])],
        training=_training(payloads.histories),
        model_card=payloads.model_card,
        findings=payloads.anomalies,
        clips=clip_table(payloads.examples) if payloads.examples else None,
        levels=level_table(payloads.statistics) if payloads.statistics else [],
        sizes=size_table(payloads.statistics) if payloads.statistics else [],
        copies=copies(payloads.statistics) if payloads.statistics else [],
        device=device(payloads.infra_validation) if payloads.infra_validation else None,
        costs=cost_rows(payloads.conversion, payloads.infra_validation),
        series=series_section(payloads.series, payloads.traces) if payloads.series else None,
        **_quality(payloads, recordings),
    )


def _quality(payloads: Payloads, recordings: Path) -> dict[str, Any]:
    evaluation = payloads.evaluation
    if evaluation is None:
        return {"evaluation": None, "mistakes": []}
    speakers, speakers_rest = speaker_bars(evaluation["per_speaker"])
    return {
        "evaluation": evaluation,
        "figures": figure_rows(evaluation),
        "labels": label_bars(evaluation["per_label"]),
        "speakers": speakers,
        "speakers_rest": speakers_rest,
        "confusion": confusion(evaluation["confusion"]),
        **_stream(evaluation.get("false_accepts")),
        "mistakes": _mistakes(evaluation, payloads.features, recordings),
    }


def _stream(accepts: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a stream of sound gave; there is none of pictures."""
    if accepts is None:
        return {"accepts": None, "trade_off": None}
    chosen = (accepts["per_hour"], accepts["false_rejects"])
    return {
        "accepts": {
            "count": number(accepts["count"]),
            "minutes": duration(3600 * accepts["hours"]),
            "per_hour": number(accepts["per_hour"]),
            "target": number(accepts["target_per_hour"]),
        },
        "trade_off": plots.trade_off(accepts["curve"], chosen) if accepts["curve"] else None,
    }


def _mistakes(
    evaluation: Mapping[str, Any], features: Mapping[str, Any] | None, recordings: Path
) -> list[Mistake]:
    if not features:
        return []
    drawn = worst_pictures if "colour" in features["features"] else worst_mistakes
    return drawn(evaluation["worst"], recordings, features["features"])


def _training(
    histories: Mapping[str, Mapping[str, list[float]]],
) -> list[tuple[str, list[tuple[str, Markup]]]]:
    """For each step that trained: its curves, those of training and validation in one picture."""
    steps = []
    for step, history in histories.items():
        pictures: dict[str, dict[str, list[float]]] = {}
        for name in sorted(history, key=_loss_first):
            measure = name.removeprefix("val_").removeprefix("validation_")
            label = "validation" if measure != name else "training"
            pictures.setdefault(measure, {})[label] = history[name]
        drawn = [(m, plots.curves(f"{step}: {m}", s)) for m, s in pictures.items()]
        steps.append((step, drawn))
    return steps


def _loss_first(curve: str) -> tuple[bool, bool, str]:
    return ("loss" not in curve, "accuracy" not in curve, curve)

"""What a study leaves: ``study.json`` for programs, ``study.svg`` and ``study.html`` for people."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.artifacts import write_json
from pipeline.study.choice import Choice, Row, Sensitivity
from pipeline.study.drawing import draw
from pipeline.study.ledger import Record
from pipeline.study.study import Result
from pipeline.study.techniques import Candidate
from pipeline.ui.figures import duration, milliseconds, number, operations, percent, size

_TEMPLATES = Path(__file__).parent / "templates"


def write_study(
    folder: Path,
    *,
    candidates: Sequence[Candidate],
    result: Result,
    table: Sequence[Row],
    sensitivities: Sequence[Sensitivity],
    choice: Choice,
    attempts: Sequence[Record],
    seconds: float,
    budget_s: float,
    limits: Mapping[str, float],
) -> dict[str, Any]:
    """Writes the three files into `folder`, each whole or not at all; gives the content of the first."""
    names = {c.key: c.name for c in candidates}
    content: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "budget_seconds": round(budget_s, 1),
        "examples": result.examples,
        "limits": dict(limits),
        "rows": [dataclasses.asdict(row) for row in table],
        "sensitivities": [dataclasses.asdict(s) for s in sensitivities],
        "untried": [c.name for c in result.untried],
        "failed": {names[key]: why for key, why in result.failed.items()},
        "choice": {"ranked": [c.name for c in choice.ranked], "reason": choice.reason},
        "release": [_attempt(record, candidates) for record in attempts],
    }
    released = [record.candidate for record in attempts if record.released]
    picture = draw(table, released[0] if released else "")
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("study.html.j2").render(
        content=content,
        released=names[released[0]] if released else "",
        took=duration(seconds),
        budget=duration(budget_s),
        picture=Markup(picture.decode()[picture.decode().index("<svg") :]),
        rows=[_cells(row) for row in table],
        attempts=[_attempt_cells(record, names[record.candidate]) for record in attempts],
        sensitivities=[
            (s.technique, s.knob, [(v, percent(a), size(b), size(d)) for v, a, b, d in s.points])
            for s in sensitivities
        ],
    )
    aside = folder / ".study"
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in (
        ("study.json", lambda path: write_json(path, content)),
        ("study.svg", lambda path: path.write_bytes(picture)),
        ("study.html", lambda path: path.write_text(page, encoding="utf-8")),
    ):
        write(aside)
        os.replace(aside, folder / name)
    return content


def _cells(row: Row) -> dict[str, str]:
    low, high = row.test_range
    figures = row.figures
    spread = f"{percent(low)} to {percent(high)}" if row.seeds > 1 else "one seed"
    return {
        "name": row.name,
        "front": "front" if row.on_front else "",
        "saves": row.saves,
        "accuracy": percent(row.test_accuracy),
        "spread": spread,
        "val": percent(row.val_accuracy),
        "seeds": str(row.seeds),
        "examples": number(row.examples),
        "bytes": size(figures["bytes"]),
        "download": size(figures["download_bytes"]),
        "arena": size(figures.get("arena_bytes")),
        "macs": operations(figures["macs"]),
        "litert": milliseconds(figures.get("latency_ms_litert")),
        "tflite": milliseconds(figures.get("latency_ms_tflite_runtime")),
        "cycles": operations(figures.get("vela_cycles")),
        "rung": row.rung,
    }


def _attempt(record: Record, candidates: Sequence[Candidate]) -> dict[str, Any]:
    (candidate,) = (c for c in candidates if c.key == record.candidate)
    return {
        "name": candidate.name,
        "settings": list(candidate.settings),
        "seed": record.seed,
        "examples": record.examples,
        "rounding": record.rounding,
        "seconds": round(record.seconds, 1),
        "metrics": record.metrics,
        "released": record.released,
        "refusals": [dataclasses.asdict(refusal) for refusal in record.refusals],
        "failed": record.failed,
    }


def _attempt_cells(record: Record, name: str) -> dict[str, str]:
    metrics = record.metrics
    outcome = (
        "released"
        if record.released
        else "; ".join(
            f"refused by {r.gate}: {number(r.value)}, limit {number(r.limit)} ({r.advice})"
            for r in record.refusals
        )
    )
    longer = f", training with rounding {record.rounding} times as long"
    return {
        "name": name + (longer if record.rounding > 1 else ""),
        "outcome": f"failed: {record.failed}" if record.failed else outcome,
        "examples": number(record.examples),
        "seed": str(record.seed),
        "took": duration(record.seconds),
        "accuracy": percent(metrics.get("int8_accuracy", metrics.get("test_accuracy"))),
        "val": percent(metrics.get("val_accuracy")),
        "agreement": percent(metrics.get("agreement")),
        "bytes": size(metrics.get("bytes")),
        "download": size(metrics.get("download_bytes")),
        "arena": size(metrics.get("arena_bytes")),
        "macs": operations(metrics.get("macs")),
        "litert": milliseconds(metrics.get("latency_ms_litert")),
    }

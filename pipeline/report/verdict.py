"""The head of the report: what came of the run, in one line and a few figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.payloads import Payloads
from pipeline.ui.figures import (
    duration,
    milliseconds,
    number,
    operations,
    percent,
    side,
    size,
    words,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Released or refused, and why, as text."""

    released: bool
    title: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """One headline figure with a note beneath it."""

    name: str
    value: str
    note: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateRow:
    """One gate as text; `limit` says on which side of it the value must be."""

    name: str
    value: str
    limit: str
    passed: bool
    advice: str


def verdict(report: Mapping[str, Any], release: Mapping[str, Any] | None) -> Verdict:
    """What came of the run, from report.json and, if there is one, release.json."""
    gates, model = report["gates"], report["model"]
    took = f"The run took {duration(report['seconds'])}."
    if report["bundle"] is None:
        failed = [words(g["name"]) for g in gates if not g["passed"]]
        reason = (
            f"Not passed: {', '.join(failed)}. The last release stays in force. {took}"
            if failed
            else f"The run ended before a bundle was made. {took}"
        )
        return Verdict(released=False, title=f"Refused: {model['name']}", reason=reason)
    version = (release or model).get("version") or ""
    known = release is not None and not release["new"]
    passed = f"All {len(gates)} gates passed. {took}" if gates else took
    if known:
        passed = f"The same bundle was released before, so no new version was made. {passed}"
    return Verdict(
        released=True, title=f"Released {model['name']} {version}".strip(), reason=passed
    )


def tiles(report: Mapping[str, Any], payloads: Payloads) -> list[Tile]:
    """The headline figures of a run, those that are known."""
    metrics, model, found = report["metrics"], report["model"], []
    if metrics.get("int8_accuracy") is not None:
        others = [
            f"{name} {percent(metrics[f'{name}_accuracy'])}"
            for name in ("float", "teacher")
            if metrics.get(f"{name}_accuracy") is not None
        ]
        value = percent(metrics["int8_accuracy"])
        found.append(Tile(name="Accuracy on the device", value=value, note=" · ".join(others)))
    if payloads.evaluation and "false_accepts" in payloads.evaluation:
        accepts = payloads.evaluation["false_accepts"]
        note = (
            f"of other words without a pause; {percent(accepts['false_rejects'])} of words missed"
        )
        found.append(
            Tile(name="False accepts an hour", value=number(accepts["per_hour"]), note=note)
        )
    if model.get("bytes") is not None:
        note = f"{size(model.get('download_bytes'))} to download"
        found.append(Tile(name="Model file", value=size(model["bytes"]), note=note))
    if model.get("arena_bytes") is not None:
        note = f"{operations(model.get('macs'))} multiply-accumulates an inference"
        found.append(Tile(name="Working memory", value=size(model["arena_bytes"]), note=note))
    runtimes = (payloads.infra_validation or {}).get("runtimes", {})
    latencies = {k: v["latency_ms"] for k, v in runtimes.items() if v.get("latency_ms") is not None}
    if latencies:
        fastest = min(latencies, key=lambda k: latencies[k])
        note = f"{fastest}, on the machine of this run"
        value = milliseconds(latencies[fastest])
        found.append(Tile(name="One inference", value=value, note=note))
    return found


def gate_rows(gates: Sequence[Mapping[str, Any]]) -> list[GateRow]:
    """The gates as text, refused ones first."""
    return [
        GateRow(
            name=words(g["name"]),
            value=number(g["value"]),
            limit=f"{side(g['value'], g['limit'], g['passed'])} {number(g['limit'])}",
            passed=g["passed"],
            advice=g.get("advice") or "",
        )
        for g in sorted(gates, key=lambda g: bool(g["passed"]))
    ]

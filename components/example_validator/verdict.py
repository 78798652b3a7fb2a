"""What a validator leaves of its findings: the artifacts, the warnings, or the error that stops the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from components.artifacts import write_json
from components.base import Metrics, Outputs, UserError, warn
from components.example_validator.anomaly import Anomaly

_SHOWN = 20


def conclude(anomalies: Sequence[Anomaly], schema: Any, outputs: Outputs) -> Metrics:
    """Shows the warnings, and writes ``anomalies.json`` and ``schema.json``.

    Raises:
        UserError: if there is an error among the anomalies; it names the first 20.
    """
    warnings = [anomaly for anomaly in anomalies if anomaly.severity == "warning"]
    for anomaly in warnings:
        warn(_line(anomaly))
    errors = [anomaly for anomaly in anomalies if anomaly.severity == "error"]
    if errors:
        raise UserError(_message(errors))
    content = [dataclasses.asdict(anomaly) for anomaly in anomalies]
    write_json(outputs["validation"] / "anomalies.json", content)
    write_json(outputs["schema"] / "schema.json", schema)
    return {"warnings": float(len(warnings))}


def _message(errors: Sequence[Anomaly]) -> str:
    lines = [f"the examples have {len(errors)} error{'s' if len(errors) > 1 else ''}"]
    lines += [f"  {_line(anomaly)}" for anomaly in errors[:_SHOWN]]
    if len(errors) > _SHOWN:
        lines.append(f"  and {len(errors) - _SHOWN} more")
    return "\n".join(lines)


def _line(anomaly: Anomaly) -> str:
    return f"{anomaly.where}: {anomaly.what}: {anomaly.advice}"

"""The executor of ExampleValidator: all checks, and the error that stops the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs, UserError, warn
from components.example_validator import drift, leakage, levels, schema
from components.example_validator.anomaly import Anomaly
from components.example_validator.component import ExampleValidatorParameters

_SHOWN = 20


def execute(inputs: Inputs, outputs: Outputs, parameters: ExampleValidatorParameters) -> Metrics:
    """Makes the Validation and the Schema artifact.

    Raises:
        UserError: if there is an error among the anomalies; it names the first 20.
    """
    statistics = read_json(inputs["statistics"] / "statistics.json")
    held = read_json(inputs["schema"] / "schema.json") if "schema" in inputs else None
    if held is None or parameters.schema == "renew":
        held = schema.infer(statistics)
    anomalies = [
        *leakage.check(statistics),
        *levels.check_counts(statistics, parameters),
        *schema.check(statistics, held),
        *levels.check_recordings(statistics, parameters),
        *drift.check_skew(statistics, parameters),
    ]
    if "previous_statistics" in inputs:
        previous = read_json(inputs["previous_statistics"] / "statistics.json")
        anomalies += drift.check_drift(statistics, previous, parameters)
    warnings = [anomaly for anomaly in anomalies if anomaly.severity == "warning"]
    for anomaly in warnings:
        warn(_line(anomaly))
    errors = [anomaly for anomaly in anomalies if anomaly.severity == "error"]
    if errors:
        raise UserError(_message(errors))
    content = [dataclasses.asdict(anomaly) for anomaly in anomalies]
    write_json(outputs["validation"] / "anomalies.json", content)
    write_json(outputs["schema"] / "schema.json", held)
    return {"warnings": float(len(warnings))}


def _message(errors: Sequence[Anomaly]) -> str:
    lines = [f"the examples have {len(errors)} error{'s' if len(errors) > 1 else ''}"]
    lines += [f"  {_line(anomaly)}" for anomaly in errors[:_SHOWN]]
    if len(errors) > _SHOWN:
        lines.append(f"  and {len(errors) - _SHOWN} more")
    return "\n".join(lines)


def _line(anomaly: Anomaly) -> str:
    return f"{anomaly.where}: {anomaly.what}: {anomaly.advice}"

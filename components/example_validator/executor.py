"""The executor of ExampleValidator: all checks of recordings."""

from __future__ import annotations

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs
from components.example_validator import drift, leakage, levels, schema
from components.example_validator.component import ExampleValidatorParameters
from components.example_validator.verdict import conclude


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
    return conclude(anomalies, held, outputs)

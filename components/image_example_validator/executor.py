"""The executor of ImageExampleValidator: all checks, and the error that stops the run."""

from __future__ import annotations

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs
from components.example_validator.verdict import conclude
from components.image_example_validator import checks
from components.image_example_validator.component import ImageExampleValidatorParameters
from components.records import SPLITS


def execute(
    inputs: Inputs, outputs: Outputs, parameters: ImageExampleValidatorParameters
) -> Metrics:
    """Makes the Validation and the Schema artifact.

    Raises:
        UserError: if there is an error among the anomalies; it names the first 20.
    """
    statistics = read_json(inputs["statistics"] / "statistics.json")
    held = read_json(inputs["schema"] / "schema.json") if "schema" in inputs else None
    if held is None or parameters.schema == "renew":
        held = {"labels": statistics["labels"]}
    anomalies = [
        *checks.check_leakage(statistics, parameters),
        *checks.check_pictures(statistics, parameters),
        *checks.check_schema(statistics, held),
    ]
    for split in SPLITS[1:]:
        anomalies += checks.check_skew(statistics, statistics, ("train", split), parameters)
    if "previous_statistics" in inputs:
        previous = read_json(inputs["previous_statistics"] / "statistics.json")
        for split in SPLITS:
            anomalies += checks.check_skew(previous, statistics, (split, split), parameters)
    return conclude(anomalies, held, outputs)

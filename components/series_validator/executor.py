"""Executor of SeriesValidator."""

from __future__ import annotations

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs, Progress
from components.example_validator.verdict import conclude
from components.series import open_logs, read_series
from components.series_validator import checks
from components.series_validator.component import SeriesValidatorParameters
from components.series_validator.survey import survey


def execute(inputs: Inputs, outputs: Outputs, parameters: SeriesValidatorParameters) -> Metrics:
    """Makes the Validation and the Schema artifact; nothing that it finds stops the run."""
    series = read_series(inputs["series"])
    held = read_json(inputs["schema"] / "schema.json") if "schema" in inputs else None
    if held is None or parameters.schema == "renew":
        held = {"channels": list(series.channels), "levels": {}}
    progress = Progress(float(len(series.logs)), "logs")
    surveys = []
    for done, log in enumerate(open_logs(inputs["series"], series), start=1):
        surveys.append(survey(log))
        progress.at(done, log.record.name)
    found = [
        *checks.check_schema(series.channels, held),
        *checks.check_units(surveys, series.channels, held["levels"]),
    ]
    for one in surveys:
        found += checks.check_log(one, series.channels, parameters)
    levels = held["levels"] or checks.levels_of(surveys, series.channels)
    return conclude(found, {"channels": held["channels"], "levels": levels}, outputs)

"""What is wrong with rows is said by log and channel, and clean logs are left in peace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.artifacts import read_json
from components.series_validator.component import SeriesValidatorParameters
from components.series_validator.executor import execute as validate
from tests.fixtures.anomaly_bundles import csv_text, machine_rows
from tests.fixtures.machine_logs import as_series


def findings(folder: Path, texts: dict[str, str], **inputs: Path) -> list[str]:
    logs = folder / "logs"
    logs.mkdir(parents=True)
    for name, text in texts.items():
        (logs / name).write_text(text)
    made = {name: folder / name for name in ("validation", "schema")}
    for path in made.values():
        path.mkdir()
    inputs = {"series": as_series(logs, folder), **inputs}
    validate(inputs, made, SeriesValidatorParameters())
    found = read_json(made["validation"] / "anomalies.json")
    assert all(anomaly["severity"] == "warning" for anomaly in found)
    return [f"{anomaly['where']}: {anomaly['what']}" for anomaly in found]


def test_clean_logs_give_nothing_to_say(tmp_path):
    texts = {f"{seed}.csv": csv_text(machine_rows(900, seed=seed)) for seed in (1, 2, 3)}
    assert findings(tmp_path, texts) == []


def set_rows(rows: slice, channel: int, values: float):
    made = machine_rows(900, seed=1)
    made[rows, channel] = values
    return csv_text(made)


def times_factor(factor: float) -> str:
    return csv_text(machine_rows(900, seed=1) * [1, factor, 1])


def with_lines(change) -> str:
    head, *lines = csv_text(machine_rows(900, seed=1)).strip().split("\n")
    return "\n".join([head, *change(lines)]) + "\n"


BAD = {
    "missing": (set_rows(slice(100, 140), 0, np.nan), "flow: 4.4% of the values are no numbers"),
    "infinite": (set_rows(slice(100, 140), 0, np.inf), "flow: 4.4% of the values are no numbers"),
    "constant": (set_rows(slice(None), 2, 7.0), "heat: never changes"),
    "stuck": (set_rows(slice(300, 900), 2, 60.0), "heat: keeps one value for 600 rows"),
    "units": (times_factor(1000.0), "pressure: about 2.02e+03, and 2.02"),
    "drift": (set_rows(slice(500, 900), 2, 90.0), "rows that are not labelled lie around 90"),
    "backwards": (with_lines(lambda lines: [*lines[450:], *lines[:450]]), "1 times the time goes"),
    "twice": (with_lines(lambda lines: [*lines[:9], lines[8], *lines[9:]]), "1 rows stand twice"),
    "gaps": (with_lines(lambda lines: lines[:450] + lines[500:]), "1 gaps of more than ten"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_amiss_is_said_of_its_log(tmp_path, kind):
    text, said = BAD[kind]
    others = {f"{seed}.csv": csv_text(machine_rows(900, seed=seed)) for seed in (2, 3, 4)}
    found = findings(tmp_path, {"bad.csv": text, **others})
    assert any(line.startswith("bad.csv: ") and said in line for line in found), found
    assert all(line.startswith("bad.csv: ") for line in found), found


def test_a_new_channel_and_other_units_are_held_against_the_run_before(tmp_path):
    text = csv_text(machine_rows(900))
    assert findings(tmp_path / "1", {"a.csv": text}) == []
    lines = text.strip().split("\n")
    wider = "\n".join(
        [f"{lines[0]},extra", *(f"{line},{i % 7}" for i, line in enumerate(lines[1:]))]
    )
    held = tmp_path / "1" / "schema"
    found = findings(tmp_path / "2", {"a.csv": wider}, schema=held)
    assert found == ["schema: the channel extra is new"]
    found = findings(tmp_path / "3", {"a.csv": times_factor(1000.0)}, schema=held)
    assert found[0].startswith("a.csv: pressure: about 2.02e+03, and 2.02")

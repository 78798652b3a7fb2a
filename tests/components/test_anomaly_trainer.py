"""AnomalyTrainer and AnomalyPackager: from CSV files to a bundle that has proven itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from components.anomaly_packager.component import AnomalyPackagerParameters
from components.anomaly_packager.executor import execute as package
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.executor import execute as train
from components.artifacts import read_gates, read_json, write_json
from components.base import UserError
from edge_agent import selftest
from edge_agent.bundle import archive
from tests.fixtures.anomaly_bundles import CHANNELS, csv_text, machine_rows

PARAMETERS = AnomalyTrainerParameters(
    warm_up_rows=400, lags=2, smoothing=0.3, margin=0.5, persistence=3, wandering_limit=0
)


def write_log(path: Path, seed: int, *, fault: slice | None = None, rows: int = 800) -> None:
    values = machine_rows(rows, seed=seed)
    labels = np.zeros(rows, int)
    if fault is not None:
        values[fault, 1] += 1.0
        labels[fault] = 1
    head, *lines = csv_text(values, delimiter=";").strip().split("\n")
    body = [f"{line};{label};0" for line, label in zip(lines, labels, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"{head};anomaly;changepoint", *body]) + "\n")


def trained(folder: Path, parameters: AnomalyTrainerParameters = PARAMETERS) -> dict[str, Path]:
    made = {name: folder.parent / name for name in ("model", "evaluation")}
    for path in made.values():
        path.mkdir()
    train({"rows": folder}, made, parameters)
    write_json(made["model"] / "lineage.json", {"cache_key": "ab" * 32})
    return made


@pytest.fixture
def logs(tmp_path) -> Path:
    write_log(tmp_path / "logs" / "a.csv", 1, fault=slice(500, 700))
    write_log(tmp_path / "logs" / "two" / "b.csv", 2, fault=slice(600, 650))
    return tmp_path / "logs"


def test_faults_are_found_and_every_file_is_told_of(logs):
    made = trained(logs)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert [file["file"] for file in found["files"]] == ["a.csv", "two/b.csv"]
    assert found["roc_auc"] > 0.95 > found["control_roc_auc"]
    assert found["false_alarm_rate"] < 0.1
    assert found["missed_rate"] < 0.1
    assert all(gate.passed for gate in read_gates(made["evaluation"]))
    model = read_json(made["model"] / "model.json")
    assert tuple(model["channels"]) == CHANNELS
    assert 0 < found["state_bytes"] < 16 * 1024


def test_an_autoencoder_finds_them_too_and_travels_in_the_bundle(logs, tmp_path):
    parameters = dataclasses.replace(PARAMETERS, detector="autoencoder", hidden=12, bottleneck=3)
    made = trained(logs, parameters)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["roc_auc"] > 0.9
    assert found["missed_rate"] < 0.2
    packed = {name: tmp_path / f"packed_{name}" for name in ("bundle", "infra_validation")}
    for path in packed.values():
        path.mkdir()
    package(made, packed, AnomalyPackagerParameters())
    bundle = archive.read(packed["bundle"] / "candidate.bundle")
    assert bundle.manifest.schema_version == "1.4"
    assert bundle.manifest.scoring.detectors.autoencoder.hidden == 12
    # The device learns the network anew in the warm-up of the golden rows, and scores as here.
    assert selftest.run(bundle).max_lsb < 1e-6


def test_without_labels_the_false_alarms_alone_decide(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.csv").write_text(csv_text(machine_rows(1000, seed=3)))
    made = trained(folder)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["roc_auc"] is None
    assert [gate.name for gate in read_gates(made["evaluation"])] == ["false_alarm_rate"]


def test_labels_that_say_nothing_do_not_pass(logs):
    # The label names the row's number, which the control knows as well.
    for path in logs.rglob("*.csv"):
        head, *lines = path.read_text().strip().split("\n")
        late = [f"{line[:-3]}{int(i > 600)};0" for i, line in enumerate(lines)]
        path.write_text("\n".join([head, *late]) + "\n")
    gates = {g.name: g for g in read_gates(trained(logs)["evaluation"])}
    assert not gates["roc_auc_over_controls"].passed


@pytest.mark.parametrize("fault", [slice(0, 800), slice(0, 200)])
def test_a_file_whose_beginning_is_anomalous_teaches_nothing(tmp_path, fault):
    write_log(tmp_path / "logs" / "a.csv", 4, fault=fault)
    with pytest.raises(UserError, match="nothing normal to learn from"):
        trained(tmp_path / "logs")


def test_short_and_anomalous_files_are_left_out_of_the_others(logs, capsys):
    write_log(logs / "short.csv", 5, rows=100)
    write_log(logs / "bad.csv", 6, fault=slice(0, 300))
    made = trained(logs)
    assert read_json(made["model"] / "model.json")["files"] == ["a.csv", "two/b.csv"]
    said = capsys.readouterr().err
    assert "short.csv: left out: 100 rows" in said
    assert "bad.csv: left out: 75%" in said


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.csv", "", "is empty"),
        ("b.csv", "time,flow\n1,2\n", "lacks the columns pressure, heat"),
        ("a.csv", "time,word\n1,yes\n", "no column of numbers"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, name, text, message):
    write_log(tmp_path / "logs" / "a.csv", 7)
    (tmp_path / "logs" / name).write_text(text)
    with pytest.raises(UserError, match=message) as error:
        trained(tmp_path / "logs")
    assert name in str(error.value)


def test_an_empty_folder_and_parameters_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "logs").mkdir()
    with pytest.raises(UserError, match=r"holds no \.csv file"):
        trained(tmp_path / "logs")
    write_log(tmp_path / "more" / "logs" / "a.csv", 8)
    with pytest.raises(UserError, match="warm_up_rows must be"):
        trained(tmp_path / "more" / "logs", dataclasses.replace(PARAMETERS, warm_up_rows=3))


def packaged(made: dict[str, Path], parameters=None) -> dict[str, Path]:
    folder = made["model"].parent
    outputs = {name: folder / name for name in ("bundle", "infra_validation")}
    for path in outputs.values():
        path.mkdir()
    package(made, outputs, parameters or AnomalyPackagerParameters(licence="CC0-1.0"))
    return outputs


def test_the_bundle_passes_its_self_test_and_holds_the_card(logs):
    outputs = packaged(trained(logs))
    bundle = archive.read(outputs["bundle"] / "candidate.bundle")
    assert selftest.run(bundle).max_lsb < 1e-6
    assert bundle.manifest.lineage == "ab" * 32
    card = bundle.files["model_card.md"].decode()
    assert "flow, pressure, heat" in card
    assert "| roc_auc |" in card
    assert all(gate.passed for gate in read_gates(outputs["infra_validation"]))


def test_a_model_beyond_its_limits_does_not_pass(logs):
    limits = AnomalyPackagerParameters(max_parameter_bytes=10, max_state_bytes=10)
    gates = read_gates(packaged(trained(logs), limits)["infra_validation"])
    assert [gate.passed for gate in gates] == [False, False]

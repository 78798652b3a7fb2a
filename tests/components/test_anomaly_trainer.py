"""AnomalyTrainer and AnomalyPackager: from rows to a bundle that has proven itself."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from components.anomaly_packager.component import AnomalyPackagerParameters
from components.anomaly_packager.executor import execute as package
from components.anomaly_trainer.comparison import Compared, choose, objections
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.evaluation import Outcome, evaluation
from components.anomaly_trainer.executor import execute as train
from components.anomaly_trainer.nab_table import detect
from components.artifacts import read_gates, read_json, write_json
from components.base import UserError
from components.machine_simulator.component import MachineSimulatorParameters
from components.machine_simulator.executor import execute as simulate
from components.series import Log, LogRecord
from components.series_example_gen.component import SeriesExampleGenParameters
from components.series_transform.component import SeriesTransformParameters
from edge_agent import selftest
from edge_agent.anomaly.metrics import alarm_quality
from edge_agent.bundle import archive
from tests.fixtures.anomaly_bundles import CHANNELS, csv_text, machine_rows
from tests.fixtures.machine_logs import as_series, transformed, write_log

PARAMETERS = AnomalyTrainerParameters(
    compare=("pca", "ewma", "robust_z_score"), lags=2, smoothing=0.3, persistence=3
)


def trained(logs: Path, into: Path, parameters: AnomalyTrainerParameters = PARAMETERS):
    inputs = transformed(as_series(logs, into), into)
    made = {name: into / name for name in ("model", "evaluation")}
    for path in made.values():
        path.mkdir()
    train(inputs, made, parameters)
    write_json(made["model"] / "lineage.json", {"cache_key": "ab" * 32})
    return made


def packaged(made: dict[str, Path], into: Path, parameters=None) -> dict[str, Path]:
    outputs = {name: into / name for name in ("bundle", "infra_validation")}
    for path in outputs.values():
        path.mkdir(parents=True)
    package(made, outputs, parameters or AnomalyPackagerParameters(licence="CC0-1.0"))
    return outputs


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("machines")
    write_log(folder / "logs" / "a.csv", 1, fault=slice(500, 700))
    write_log(folder / "logs" / "two" / "b.csv", 2, fault=slice(600, 650))
    return folder / "logs"


@pytest.fixture(scope="module")
def made(logs, tmp_path_factory) -> dict[str, Path]:
    return trained(logs, tmp_path_factory.mktemp("trained"))


def test_faults_are_found_and_every_file_is_told_of(made):
    found = read_json(made["evaluation"] / "evaluation.json")
    assert [file["file"] for file in found["files"]] == ["a.csv", "two/b.csv"]
    assert found["roc_auc"] > 0.95 > found["control_roc_auc"]
    assert found["false_alarm_rate"] < 0.1
    assert found["missed_rate"] < 0.1
    assert found["faults_found"] == 1.0
    assert set(found["slices"]) == {".", "two"}
    assert all(gate.passed for gate in read_gates(made["evaluation"]))
    model = read_json(made["model"] / "model.json")
    assert tuple(model["channels"]) == CHANNELS
    assert 0 < found["state_bytes"] < 16 * 1024


def test_a_slice_is_all_logs_of_a_folder_wherever_they_stand():
    def scored(name: str, missed: int) -> Outcome:
        labels = np.repeat([False, True], 10)
        record = LogRecord(name=name, rows=20, labelled=True, teaches=0)
        log = Log(record=record, rows=np.zeros((20, 1)), labels=labels, seconds=np.arange(20.0))
        on = np.arange(20) >= 10 + missed
        return Outcome(
            log=log,
            step=1,
            score=on * 1.0,
            labels=labels,
            rows=20,
            alarms=alarm_quality(on, labels),
            threshold=1.0,
            typical=0.0,
            state_bytes=4,
        )

    # A mixture of a signal stands behind all signals.
    names = {"ball/9.wav": 2, "cage.wav": 0, "ball/9.wav at -12 dB": 6}
    found = evaluation([scored(name, missed) for name, missed in names.items()])
    assert found["slices"]["ball"]["missed_rate"] == pytest.approx(0.4)
    assert found["slices"]["."]["missed_rate"] == 0.0


def test_every_detector_is_compared_and_the_choice_says_why(made):
    found = read_json(made["evaluation"] / "evaluation.json")
    compared = found["compared"]
    assert set(compared) == {"pca", "ewma", "robust_z_score"}
    best = max(c["quality"] for c in compared.values())
    taken = compared[found["detector"]]
    assert taken["quality"] >= best - PARAMETERS.as_good
    assert f"{taken['quality']:.3f}" in found["why"]
    # What each half of the logs chooses is judged on the other half.
    assert found["crosswise"]["quality"] > 0.9


def test_traces_show_the_fault_in_its_channel(made):
    found = read_json(made["evaluation"] / "evaluation.json")
    with np.load(made["evaluation"] / "traces.npz") as traces:
        place = found["traces"].index("a.csv")
        on, labels = traces[f"{place}.on"], traces[f"{place}.labels"]
        shares = traces[f"{place}.shares"][on & labels].sum(axis=0)
    assert shares.argmax() == CHANNELS.index("pressure")


def test_a_detector_that_is_asked_for_is_taken(logs, tmp_path):
    parameters = dataclasses.replace(
        PARAMETERS,
        detector="autoencoder",
        compare=("autoencoder", "ewma"),
        hidden=12,
        bottleneck=3,
        smoothing=0.1,
    )
    made = trained(logs, tmp_path, parameters)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["detector"] == "autoencoder"
    assert found["roc_auc"] > 0.9
    bundle = archive.read(packaged(made, tmp_path)["bundle"] / "candidate.bundle")
    assert bundle.manifest.schema_version == "1.4"
    assert bundle.manifest.scoring.detectors.autoencoder.hidden == 12
    # The device learns the network anew in the warm-up of the golden rows, and scores as here.
    assert selftest.run(bundle).max_lsb < 1e-6


def test_a_network_that_was_not_trained_cannot_be_asked_for(logs, tmp_path):
    parameters = dataclasses.replace(PARAMETERS, detector="forecaster")
    with pytest.raises(UserError, match="detector=forecaster: is not among"):
        trained(logs, tmp_path, parameters)


def test_without_labels_planted_faults_choose_and_the_false_alarms_decide(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.csv").write_text(csv_text(machine_rows(1000, seed=3)))
    made = trained(folder, tmp_path)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["roc_auc"] is None
    assert found["compared_on"] == "planted faults"
    assert found["watches"] == "rows"
    assert found["compared"]["pca"]["quality"] > 0.8
    assert found["false_alarm_rate"] <= 0.02
    assert [gate.name for gate in read_gates(made["evaluation"])] == ["false_alarm_rate"]


def test_a_log_that_the_bundle_does_not_fit_is_named_with_what_to_do(tmp_path, capsys):
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(4):
        rows = machine_rows(800, seed=number)
        if not number:
            rows[420:, 2] += 30.0
        (logs / f"{number}.csv").write_text(csv_text(rows))
    parameters = dataclasses.replace(PARAMETERS, compare=("ewma",))
    made = trained(logs, tmp_path, parameters)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["strays"] == ["0.csv"]
    alarms = {file["file"]: file["false_alarm_rate"] for file in found["files"]}
    assert alarms.pop("0.csv") > 0.9
    assert max(alarms.values()) < 0.1
    assert "0.csv: more than half of its rows alarm" in capsys.readouterr().err
    (gate,) = read_gates(made["evaluation"])
    assert not gate.passed  # it counts
    assert "logs that the bundle does not fit (0.csv)" in gate.advice


def test_without_labels_each_half_is_held_against_the_other_as_it_is(tmp_path):
    for number in range(4):
        write_log(tmp_path / "logs" / f"{number}.csv", number)
    made = trained(tmp_path / "logs", tmp_path)
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["compared_on"] == "planted faults"
    assert found["crosswise"]["quality"] > 0.7
    # The planted faults raise the threshold of no one, and nobody can say what is missed.
    assert found["crosswise"]["false_alarm_rate"] < 0.05
    assert found["crosswise"]["missed_rate"] is None
    write_json(made["model"] / "lineage.json", {"cache_key": "ab" * 32})
    bundle = archive.read(packaged(made, tmp_path)["bundle"] / "candidate.bundle")
    card = bundle.files["model_card.md"].decode()
    assert "(by planted faults), which flatters them" in card
    assert "of normal rows lie at the threshold or above it." in card


def test_simulated_pumps_are_learned_without_any_data(tmp_path):
    (tmp_path / "logs").mkdir()
    simulate({}, {"recordings": tmp_path / "logs"}, MachineSimulatorParameters(machines=5))
    made = trained(tmp_path / "logs", tmp_path, AnomalyTrainerParameters(compare=("pca",)))
    found = read_json(made["evaluation"] / "evaluation.json")
    assert found["roc_auc"] > found["control_roc_auc"] + 0.1


def test_series_of_nab_s_form_are_judged_by_its_score(tmp_path):
    folder = tmp_path / "logs" / "real"
    folder.mkdir(parents=True)
    windows = {}
    for seed in range(3):
        values = np.random.default_rng(seed).normal(size=1500)
        values[1000:1050] += 8.0
        begin = datetime.datetime(2026, 1, 1)
        times = [begin + datetime.timedelta(minutes=i) for i in range(1500)]
        rows = [f"{time},{value:.4f}" for time, value in zip(times, values, strict=True)]
        (folder / f"{seed}.csv").write_text("\n".join(["timestamp,value", *rows]))
        windows[f"real/{seed}.csv"] = [[str(times[990]), str(times[1060])]]
    (tmp_path / "logs" / "anomaly_windows.json").write_text(json.dumps(windows))
    inputs = transformed(
        as_series(tmp_path / "logs", tmp_path, SeriesExampleGenParameters(format="nab")), tmp_path
    )
    outputs = {name: tmp_path / name for name in ("model", "evaluation")}
    for path in outputs.values():
        path.mkdir()
    train(inputs, outputs, PARAMETERS)
    found = read_json(outputs["evaluation"] / "evaluation.json")
    assert "NAB score" in found["why"]
    assert found["nab"]["standard"] > 80 > found["nab_control"]["standard"]
    gates = {g.name: g for g in read_gates(outputs["evaluation"])}
    assert gates["nab_over_controls"].passed
    # The beginning that NAB does not count teaches: 15% of the rows.
    assert [file["rows"] for file in found["files"]] == [1275] * 3


def test_a_detection_mutes_as_many_rows_as_the_series_own_time_scale_says():
    # The probation of 1,200 rows is 180, a sixth of which is 30; of 6,000 rows 750, and 125.
    for rows, muted in ((1200, 30), (6000, 125)):
        found = detect(np.ones(rows), 0.5)
        assert set(np.diff(found)) == {muted + 1}


def test_signals_are_learned_from_the_healthy_ones_and_the_bundle_makes_its_rows_itself(tmp_path):
    (tmp_path / "signals").mkdir()
    random = np.random.default_rng(0)
    for name in ("normal_9", "broken_9"):
        signal = 0.01 * random.normal(size=60_000)
        if name.startswith("broken"):
            signal[::350] *= 40.0
        soundfile.write(tmp_path / "signals" / f"{name}.wav", signal, 8000, subtype="FLOAT")
    raw = as_series(tmp_path / "signals", tmp_path, SeriesExampleGenParameters(format="wav"))
    features = SeriesTransformParameters(window=1, wandering_limit=0.0, spectrum=1024)
    inputs = transformed(raw, tmp_path, features)
    made = {name: tmp_path / name for name in ("model", "evaluation")}
    for path in made.values():
        path.mkdir()
    train(inputs, made, AnomalyTrainerParameters(compare=("pca",), lags=1, smoothing=0.3))
    found = read_json(made["evaluation"] / "evaluation.json")
    aucs = {file["file"]: file["roc_auc"] for file in found["files"]}
    assert aucs["broken_9.wav"] == 1.0
    assert aucs["broken_9.wav at -12 dB"] > 0.5
    assert aucs["normal_9.wav"] is None
    assert found["watches"] == "signal"
    write_json(made["model"] / "lineage.json", {"cache_key": "ab" * 32})
    bundle = archive.read(packaged(made, tmp_path)["bundle"] / "candidate.bundle")
    assert bundle.manifest.vibration.sample_rate == 8000
    assert bundle.manifest.scoring.per_machine == ()
    assert selftest.run(bundle).max_lsb < 1e-6


def test_labels_that_say_nothing_do_not_pass(tmp_path):
    # The label names the row's number, which the control knows as well.
    write_log(tmp_path / "logs" / "a.csv", 1)
    path = tmp_path / "logs" / "a.csv"
    head, *lines = path.read_text().strip().split("\n")
    late = [f"{line[:-3]}{int(i > 600)};0" for i, line in enumerate(lines)]
    path.write_text("\n".join([head, *late]) + "\n")
    gates = {g.name: g for g in read_gates(trained(tmp_path / "logs", tmp_path)["evaluation"])}
    assert not gates["roc_auc_over_controls"].passed


def test_parameters_that_do_not_fit_the_warm_up_are_refused(logs, tmp_path):
    with pytest.raises(UserError, match="warm_up_rows must be"):
        trained(logs, tmp_path, dataclasses.replace(PARAMETERS, ewma_alpha=0.001))


def test_the_bundle_passes_its_self_test_and_holds_the_card(made, tmp_path):
    outputs = packaged(made, tmp_path)
    bundle = archive.read(outputs["bundle"] / "candidate.bundle")
    assert selftest.run(bundle).max_lsb < 1e-6
    assert bundle.manifest.lineage == "ab" * 32
    card = bundle.files["model_card.md"].decode()
    assert "flow, pressure, heat" in card
    assert "Of 3 detectors it is" in card
    assert "| roc_auc |" in card
    crosswise = read_json(made["evaluation"] / "evaluation.json")["crosswise"]
    assert "chosen on these files (by labels), which flatters them" in card
    assert f"the quality is {crosswise['quality']:.3f}" in card
    assert all(gate.passed for gate in read_gates(outputs["infra_validation"]))


def test_a_model_beyond_its_limits_does_not_pass(made, tmp_path):
    limits = AnomalyPackagerParameters(max_parameter_bytes=10, max_state_bytes=10)
    gates = read_gates(packaged(made, tmp_path, limits)["infra_validation"])
    assert [gate.passed for gate in gates] == [False, False]


def compared(quality: float, *, size: int = 100, **changes) -> Compared:
    return Compared(
        quality=quality,
        files={"a": quality},
        stretch=1.0,
        false_alarm_rate=0.0,
        missed_rate=0.0,
        bytes=size,
        state_bytes=0,
        arena_bytes=0,
        macs=10,
        row_us=1.0,
        **changes,
    )


def test_of_detectors_as_good_as_the_best_the_cheapest_is_taken():
    known = {"pca": compared(0.95, size=9000), "ewma": compared(0.945), "gaussian": compared(0.7)}
    choice = choose(known, AnomalyTrainerParameters(), "ROC-AUC")
    assert choice.name == "ewma"
    assert "within 0.01 of the best (pca: 0.950)" in choice.why
    assert choose(known, AnomalyTrainerParameters(as_good=0.001), "ROC-AUC").name == "pca"


def test_what_is_beyond_the_budget_is_not_taken_however_good():
    parameters = AnomalyTrainerParameters()
    large = compared(0.99, size=30_000)
    large = dataclasses.replace(large, objections=objections(large, parameters))
    assert large.objections == ("bytes: 30,000, and 20,480 is the limit",)
    assert choose({"pca": large, "ewma": compared(0.8)}, parameters, "ROC-AUC").name == "ewma"
    alone = choose({"pca": large}, parameters, "ROC-AUC")
    assert "no detector is within the budget" in alone.why


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({"int8_drop": 0.02, "int8_file_drop": 0.02}, "mean ROC-AUC lost to int8: 0.02"),
        ({"int8_drop": 0.0, "int8_file_drop": 0.3}, "ROC-AUC lost to int8 on a file: 0.3"),
    ],
)
def test_a_network_that_int8_spoils_is_not_taken(changes, objection):
    (found,) = objections(compared(0.99, **changes), AnomalyTrainerParameters())
    assert found.startswith(objection)

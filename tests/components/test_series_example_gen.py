"""Logs of machines in four forms become arrays, with what teaches in them, or are refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import soundfile

from components.base import UserError
from components.series import open_log, read_series
from components.series_example_gen.component import SeriesExampleGenParameters
from components.series_transform.component import SeriesTransformParameters
from edge_agent.anomaly.metrics import stretches
from tests.fixtures.anomaly_bundles import CHANNELS, csv_text, machine_rows
from tests.fixtures.machine_logs import as_series, transformed, write_log


@pytest.fixture
def logs(tmp_path) -> Path:
    write_log(tmp_path / "logs" / "a.csv", 1, fault=slice(500, 700))
    write_log(tmp_path / "logs" / "two" / "b.csv", 2, fault=slice(600, 650))
    return tmp_path / "logs"


@pytest.mark.parametrize("missing", ["", "NaN", "?"])
def test_a_sensor_that_begins_late_is_watched_too(logs, tmp_path, missing):
    head, first, *rest = (logs / "a.csv").read_text().splitlines()
    cells = first.split(";")
    cells[1] = missing
    (logs / "a.csv").write_text("\n".join([head, ";".join(cells), *rest]) + "\n")
    series = read_series(as_series(logs, tmp_path))
    assert series.channels == CHANNELS


def test_tables_keep_their_rows_times_and_labels(logs, tmp_path):
    made = as_series(logs, tmp_path)
    series = read_series(made)
    assert series.channels == CHANNELS
    assert [(r.name, r.rows, r.teaches) for r in series.logs] == [
        ("a.csv", 800, 400),
        ("two/b.csv", 800, 400),
    ]
    log = open_log(made, series, 0)
    np.testing.assert_allclose(log.rows, machine_rows(800, seed=1) + marked(500, 700), atol=1e-5)
    assert stretches(np.array(log.labels)) == [(500, 700)]
    assert np.diff(log.seconds).tolist() == [1.0] * 799


def marked(begin: int, end: int):
    fault = np.zeros((800, 3))
    fault[begin:end, 1] = 1.0
    return fault


def test_short_and_anomalous_files_are_left_out_of_the_others(logs, tmp_path, capsys):
    write_log(logs / "short.csv", 5, rows=100)
    write_log(logs / "bad.csv", 6, fault=slice(0, 300))
    series = read_series(as_series(logs, tmp_path))
    assert [record.name for record in series.logs] == ["a.csv", "two/b.csv"]
    said = capsys.readouterr().err
    assert "short.csv: left out: 100 rows" in said
    assert "bad.csv: left out: 75%" in said


@pytest.mark.parametrize("text", ["", "time,flow,pressure,heat\n"])
def test_what_a_dead_logger_left_is_left_out_wherever_it_stands(logs, tmp_path, capsys, text):
    for name in ("0.csv", "z.csv"):
        (logs / name).write_text(text)
    series = read_series(as_series(logs, tmp_path))
    assert (series.channels, len(series.logs)) == (CHANNELS, 2)
    said = capsys.readouterr().err
    assert all(f"{name}: left out" in said for name in ("0.csv", "z.csv"))


@pytest.mark.parametrize("cell", ["bar", "ERR"])
def test_a_column_is_watched_for_its_numbers_though_it_begins_with_a_word(logs, tmp_path, cell):
    head, first, *rest = (logs / "a.csv").read_text().splitlines()
    cells = first.split(";")
    cells[2] = cell
    (logs / "a.csv").write_text("\n".join([head, ";".join(cells), *rest]) + "\n")
    assert read_series(as_series(logs, tmp_path)).channels == CHANNELS


def test_columns_of_words_are_said_not_to_be_watched_and_times_are_not(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    head, *lines = csv_text(machine_rows(500)).strip().split("\n")
    lines = [f'{line},"1,234.5",idle,2026-01-01' for line in lines]
    (tmp_path / "logs" / "a.csv").write_text("\n".join([f"{head},speed,state,day", *lines]))
    assert read_series(as_series(tmp_path / "logs", tmp_path)).channels == CHANNELS
    assert "a.csv: not watched, for most of what they hold is no number: speed, state;" in (
        capsys.readouterr().err
    )


def test_a_spreadsheet_s_table_is_read(tmp_path):
    (tmp_path / "logs").mkdir()
    text = csv_text(machine_rows(500), delimiter=";").replace(".", ",").replace("\n", "\r\n")
    (tmp_path / "logs" / "a.csv").write_bytes(f"\ufeffsep=;\r\n{text}".encode())
    made = as_series(tmp_path / "logs", tmp_path)
    series = read_series(made)
    assert series.channels == CHANNELS
    np.testing.assert_allclose(open_log(made, series, 0).rows, machine_rows(500), atol=1e-5)


def test_logs_in_which_nothing_changes_are_refused(tmp_path):
    (tmp_path / "logs").mkdir()
    rows = np.full((500, 3), 5.0)
    rows[3, 0] = np.nan
    (tmp_path / "logs" / "a.csv").write_text(csv_text(rows))
    with pytest.raises(UserError, match="no channel changes in the rows that teach"):
        transformed(as_series(tmp_path / "logs", tmp_path), tmp_path / "made")


def test_names_of_another_encoding_are_warned_of(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    text = csv_text(machine_rows(500)).replace("flow", "Durchfluß")
    (tmp_path / "logs" / "a.csv").write_bytes(text.encode("latin-1"))
    as_series(tmp_path / "logs", tmp_path)
    assert "names of columns are not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [slice(0, 800), slice(0, 200)])
def test_logs_that_are_anomalous_from_the_beginning_teach_nothing(tmp_path, fault):
    write_log(tmp_path / "logs" / "a.csv", 4, fault=fault)
    with pytest.raises(UserError, match="nothing normal to learn from"):
        as_series(tmp_path / "logs", tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("b.csv", "\n\n", "is empty"),
        ("b.csv", "time,flow\n1,2\n", "lacks the columns pressure, heat"),
        ("a.csv", "time,word\n1,yes\n", "begins with 'time,word'.* no column of numbers"),
        ("a.csv", "2026-01-01,5\n2026-01-02,6\n", "its first line must name the columns"),
        ("a.csv", "# logger 3, site A\ntime,flow,heat\n1,2,3\n", "there are 2 for 3 cells below"),
        (
            "b.csv",
            "flow,pressure,heat,anomaly\n1,50,2,-1\n",
            "its column anomaly holds -1: write 1",
        ),
        (
            "b.csv",
            "time,flow,pressure,heat,anomaly\n1,50,2,60,False\n2,50,2,60,True\n",
            "its column anomaly holds no number: write 1",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, name, text, message):
    if name != "a.csv":
        write_log(tmp_path / "logs" / "a.csv", 7)
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / name).write_text(text)
    with pytest.raises(UserError, match=message) as error:
        as_series(tmp_path / "logs", tmp_path)
    assert name in str(error.value)


def test_a_folder_of_another_kind_of_files_says_which_format_to_name(tmp_path):
    (tmp_path / "logs").mkdir()
    with pytest.raises(UserError, match=r"holds no \.csv file"):
        as_series(tmp_path / "logs", tmp_path / "1")
    soundfile.write(tmp_path / "logs" / "normal.wav", np.zeros(100), 8000)
    with pytest.raises(UserError, match=r"there are \.wav files: --format"):
        as_series(tmp_path / "logs", tmp_path / "2")


def test_missing_values_stay_missing(tmp_path):
    text = csv_text(machine_rows(500)).split("\n")
    text[450] = "2026-01-01T00:07:29,word,,1e999"
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text("\n".join(text))
    made = as_series(tmp_path / "logs", tmp_path)
    row = open_log(made, read_series(made), 0).rows[449]
    assert np.isnan(row[:2]).all()
    assert np.isinf(row[2])


def test_nab_labels_the_rows_within_its_windows(tmp_path):
    folder = tmp_path / "nab" / "real"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        lines = [f"2026-01-01 {i // 60:02d}:{i % 60:02d}:00,{i % 7}" for i in range(900)]
        (folder / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]))
    windows = {"real/a.csv": [["2026-01-01 10:00:00.000000", "2026-01-01 10:04:00.000000"]]}
    (tmp_path / "nab" / "anomaly_windows.json").write_text(json.dumps(windows))
    made = as_series(tmp_path / "nab", tmp_path, SeriesExampleGenParameters(format="nab"))
    series = read_series(made)
    assert series.channels == ("value",)
    assert [record.labelled for record in series.logs] == [True, False]
    assert stretches(np.array(open_log(made, series, 0).labels)) == [(600, 605)]


def test_nab_without_its_windows_is_refused(logs, tmp_path):
    with pytest.raises(UserError, match=r"anomaly_windows\.json: cannot be read"):
        as_series(logs, tmp_path, SeriesExampleGenParameters(format="nab"))


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"a.csv": [["2026-01-01 10:00"]]}, "not enough values"),
        ({"a.csv": [["2026-01-01 10:00", "later"]]}, "later'] is no"),
        ({"a.csv": [["2026-01-02", "2026-01-01"]]}, "is no"),
        ({"logs/a.csv": []}, r"names logs/a\.csv and others, and the folder holds a\.csv"),
    ],
)
def test_windows_that_would_label_nothing_are_refused(logs, tmp_path, windows, message):
    (logs / "anomaly_windows.json").write_text(json.dumps(windows))
    with pytest.raises(UserError, match=message) as error:
        as_series(logs, tmp_path, SeriesExampleGenParameters(format="nab"))
    assert "anomaly_windows.json" in str(error.value)


SIGNALS = SeriesTransformParameters(window=1, wandering_limit=0.0, spectrum=1024)


def write_signals(folder: Path, write) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in ("Normal_600", "IR5_600"):
        signal = random.normal(size=40 * 1024)
        if name.startswith("IR"):
            signal[::700] *= 30.0
        write(folder / name, signal)


@pytest.mark.parametrize("kind", ["wav", "mat"])
def test_signals_become_rows_of_features_and_the_healthy_ones_teach(tmp_path, kind):
    def write(path: Path, signal) -> None:
        if kind == "wav":
            soundfile.write(path.with_suffix(".wav"), signal / 100, 51_200, subtype="FLOAT")
        else:
            scipy.io.savemat(path.with_suffix(".mat"), {"x": signal[:, None], "rpm": 600.0})

    write_signals(tmp_path / "signals", write)
    raw = as_series(tmp_path / "signals", tmp_path, SeriesExampleGenParameters(format=kind))
    made = transformed(raw, tmp_path / "made", SIGNALS)["series"]
    series = read_series(made)
    assert series.sample_rate == 51_200
    # Half overlapping windows of 1024 samples; the mixtures are in what was not taught.
    assert [(r.name.replace(f".{kind}", ""), r.rows, r.teaches) for r in series.logs] == [
        ("IR5_600", 79, 0),
        ("Normal_600", 79, 55),
        ("IR5_600 at -12 dB", 23, 0),
        ("IR5_600 at -18 dB", 23, 0),
    ]
    faulty, healthy, mixed, _ = (open_log(made, series, number) for number in range(4))
    assert faulty.labels.all()
    assert mixed.labels.all()
    assert not healthy.labels.any()
    assert faulty.rows.mean() > mixed.rows.mean()
    # Impulses are what spectral kurtosis is for; loudness was taken out.
    assert faulty.rows.mean() > healthy.rows.mean() + 0.5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(99), "b": np.ones(99)}, r"holds 2 arrays of numbers \(a, b\)"),
        (None, "no MATLAB file up to version 7"),
    ],
)
def test_matlab_files_that_hold_no_signal_are_named(tmp_path, arrays, message):
    (tmp_path / "signals").mkdir()
    path = tmp_path / "signals" / "normal.mat"
    path.write_bytes(b"no matlab") if arrays is None else scipy.io.savemat(path, arrays)
    with pytest.raises(UserError, match=message) as error:
        as_series(tmp_path / "signals", tmp_path, SeriesExampleGenParameters(format="mat"))
    assert "normal.mat" in str(error.value)


def test_signals_of_which_none_is_named_healthy_are_refused(tmp_path):
    (tmp_path / "signals").mkdir()
    soundfile.write(tmp_path / "signals" / "fan.wav", np.zeros(2000), 8000)
    with pytest.raises(UserError, match="begin the names of healthy signals"):
        as_series(tmp_path / "signals", tmp_path, SeriesExampleGenParameters(format="wav"))


def test_windows_for_networks_are_normal_ones_and_wider_ones_to_calibrate_with(logs, tmp_path):
    features = transformed(as_series(logs, tmp_path), tmp_path / "made")["features"]
    codes = np.load(features / "train.codes.npy")
    view = np.load(features / "train.index.npz")["view"]
    after = np.load(features / "train.next.npy")
    assert codes.shape[1:] == (8, 3)
    assert len(codes) == len(view) == len(after)
    assert (view == 0).sum() == (view == 1).sum() == 2 * (360 - 8)
    # No row of the fault, which begins at 500, is in them; only the widened ones are wild.
    assert np.abs(codes[view == 0].astype(int)).max() < 80
    assert np.percentile(np.abs(codes[view == 1].astype(int)), 99) > 120
    np.testing.assert_allclose(codes[1][-1] / 32, after[0], atol=1 / 32)

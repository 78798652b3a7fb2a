"""`score` and `replay`, as a person or a script uses them: in a process of their own."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edge_agent
from edge_agent.anomaly.scoring import PARTS
from fleet.repository import Repository
from tests.fixtures.anomaly_bundles import (
    SETTINGS,
    csv_text,
    machine_rows,
    write_anomaly_bundle,
)
from tests.fixtures.bundles import make_bundle

ROOT = Path(edge_agent.__file__).parents[1]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_anomaly_bundle(tmp_path_factory.mktemp("score") / "pump.bundle")


def agent(*arguments, stdin=b"") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "edge_agent", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=ROOT)


def scored(bundle: Path, text: str) -> tuple[list[dict], str]:
    done = agent("score", "--bundle", bundle, "--csv", "-", "--json", stdin=text.encode())
    assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(list(line) == ["time", "score", "anomaly", "channel"] for line in lines)
    return lines, done.stderr.decode()


def failing_rows() -> np.ndarray:
    rows = machine_rows(300, seed=11)
    rows[200:250, 1] += 1.0
    return rows


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_failure_in_a_file_alarms_and_names_the_channel(bundle, tmp_path, delimiter):
    (tmp_path / "a.csv").write_text(csv_text(failing_rows(), delimiter=delimiter))
    done = agent("score", "--bundle", bundle, "--csv", tmp_path / "a.csv", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 300
    assert lines[7]["time"] == "2026-01-01T00:00:07"
    assert not any(line["anomaly"] for line in lines[:200])
    assert all(line["anomaly"] and line["channel"] == "pressure" for line in lines[210:250])
    assert done.stderr == b"note: 300 rows\n"


def test_in_words_only_begin_and_end_of_an_alarm_are_said(bundle, tmp_path):
    (tmp_path / "a.csv").write_text(csv_text(failing_rows()))
    done = agent("score", "--bundle", bundle, "--csv", tmp_path / "a.csv")
    first, second = done.stdout.decode().splitlines()
    assert "alarm: pressure, score" in first
    assert second.endswith("alarm over")


def test_the_hour_around_an_alarm_is_written_as_table_and_picture(bundle, tmp_path):
    (tmp_path / "a.csv").write_text(csv_text(failing_rows()))
    folder = tmp_path / "alarms"
    arguments = ("--bundle", bundle, "--csv", tmp_path / "a.csv", "--alarms", folder)
    done = agent("score", *arguments)
    table, picture = sorted(folder.iterdir())
    assert (table.suffix, picture.suffix) == (".csv", ".png")
    assert f"alarm written to {table}" in done.stderr.decode()
    assert len(table.read_text().splitlines()) == 301
    assert len(done.stdout.splitlines()) == 2
    (tmp_path / "file").write_text("")
    done = agent("score", *arguments[:-1], tmp_path / "file")
    assert done.returncode == 1
    assert b"file: cannot be written" in done.stderr


def test_ctrl_c_leaves_the_hour_of_an_alarm_that_is_not_over(bundle, tmp_path):
    text = csv_text(failing_rows()[:230])
    command = [sys.executable, "-m", "edge_agent", "score", "--csv", "-", "--bundle", bundle]
    with subprocess.Popen(
        [*command, "--alarms", tmp_path / "alarms"], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        process.stdin.write(text.encode())
        process.stdin.flush()
        assert b"alarm: pressure" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"alarm written to" in errors
    assert b"note: 230 rows" in errors
    table, _ = sorted((tmp_path / "alarms").iterdir())
    assert len(table.read_text().splitlines()) == 231


def test_warm_up_rows_score_zero_without_a_channel(tmp_path):
    settings = dataclasses.replace(SETTINGS, warm_up_rows=50, per_machine=PARTS)
    lines, _ = scored(
        write_anomaly_bundle(tmp_path / "w.bundle", settings), csv_text(machine_rows(60))
    )
    assert all(
        (line["score"], line["anomaly"], line["channel"]) == (0, False, None) for line in lines[:50]
    )
    assert all(line["score"] > 0 for line in lines[50:])


@pytest.mark.parametrize(("rows", "left"), [(1, "takes 49 rows more"), (50, None), (60, None)])
def test_a_file_that_is_shorter_than_the_warm_up_says_so(tmp_path, rows, left):
    settings = dataclasses.replace(SETTINGS, warm_up_rows=50, per_machine=PARTS)
    bundle = write_anomaly_bundle(tmp_path / "w.bundle", settings)
    _, errors = scored(bundle, csv_text(machine_rows(rows)))
    assert left in errors if left else "nothing was judged" not in errors


def changed(text: str, line: int, new: str) -> str:
    lines = text.split("\n")
    lines[line] = new
    return "\n".join(lines)


TEXT = csv_text(machine_rows(300, seed=12))
BAD = {
    "text": (changed(TEXT, 20, "2026-01-01T00:00:19,much,2.0,60"), "flow: no number at"),
    "nan and inf": (changed(TEXT, 20, "2026-01-01T00:00:19,nan,-inf,60"), "2 missing values"),
    "a missing channel": (
        "\n".join(line.rpartition(",")[0] for line in TEXT.split("\n")),
        "1 columns missing: heat",
    ),
    "unknown columns": (
        "\n".join(f"{line},9,x" for line in TEXT.strip().split("\n")),
        "2 columns ignored",
    ),
    "other units": (csv_text(machine_rows(300, seed=12) * [1000, 1, 1]), "in other units?"),
    "time backwards": (csv_text(machine_rows(5)) + "2020-01-01,50,2,60\n", "time goes backwards"),
    "a repeated row": (TEXT + TEXT.strip().rpartition("\n")[2] + "\n", "1 repeated rows"),
    "one row": ("time,flow,pressure,heat\n0,50,2,60\n", "note: 1 rows"),
    "no rows": ("time,flow,pressure,heat\n", "note: 0 rows"),
    "a stuck sensor": (
        csv_text(np.where([[0, 0, 1]], 60.0, machine_rows(300, seed=13))),
        "heat: has not changed",
    ),
    "a value beyond float": (
        changed(TEXT, 20, "2026-01-01T00:00:19,1e400,2,60"),
        "1 missing values",
    ),
    "a cell without end": (
        changed(TEXT, 20, f"2026-01-01T00:00:19,50,2,{'9' * 99_999}"),
        "heat: no",
    ),
    "a half line": (TEXT + "2026-01-01T00:05:00,50", "missing values"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_said_and_every_row_gets_its_line(bundle, kind):
    text, said = BAD[kind]
    lines, errors = scored(bundle, text)
    assert said in errors
    assert len(lines) == len(text.strip().split("\n")) - 1
    assert all(np.isfinite(line["score"]) for line in lines)


def test_a_repeated_row_changes_nothing_after_it(bundle):
    lines = TEXT.strip().split("\n")
    doubled = "\n".join([*lines[:100], lines[99], *lines[100:]]) + "\n"
    once, _ = scored(bundle, TEXT)
    twice, _ = scored(bundle, doubled)
    assert twice == [*once[:99], once[98], *once[99:]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("a,b,c\n1,2,3\n", "has none of the columns"), ("\n", "is empty")],
)
def test_what_is_no_table_is_one_plain_line(bundle, text, message):
    done = agent("score", "--bundle", bundle, "--csv", "-", "--json", stdin=text.encode())
    assert (done.returncode, done.stdout) == (1, b"")
    error = done.stderr.decode()
    assert error.startswith("error: standard input: ")
    assert message in error
    assert error.count("\n") == 1


def test_what_is_not_there_or_another_kind_is_named(bundle, tmp_path):
    keyword = make_bundle(tmp_path / "k.bundle")
    (tmp_path / "a.csv").write_text(TEXT)
    for arguments, message in (
        (("--bundle", bundle, "--csv", tmp_path / "none.csv"), "none.csv: cannot be read"),
        (("--bundle", bundle, "--csv", tmp_path), "cannot be read"),
        (("--bundle", keyword, "--csv", tmp_path / "a.csv"), "is for keyword_spotting"),
        (("--bundle", tmp_path / "none", "--csv", "-"), "none: cannot be read"),
    ):
        done = agent("score", *arguments)
        assert (done.returncode, done.stdout) == (1, b"")
        assert message in done.stderr.decode()
        assert b"Traceback" not in done.stderr
    done = agent("evaluate", "--bundle", bundle, "--data", tmp_path)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_a_live_stream_is_scored_row_by_row(bundle):
    command = [
        sys.executable,
        "-m",
        "edge_agent",
        "score",
        "--bundle",
        bundle,
        "--csv",
        "-",
        "--json",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        for line in TEXT.split("\n")[:6]:
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            if not line.startswith("time"):
                assert json.loads(process.stdout.readline())["time"] == line.split(",")[0]
        process.stdin.close()
        assert process.wait(timeout=30) == 0


# A child's ru_maxrss begins at what its parent holds; this does not.
_MEASURED = """
import sys
from edge_agent.__main__ import run
sys.argv[0] = "edge_agent"
try:
    run()
finally:
    with open("/proc/self/status") as file:
        print(next(line for line in file if line.startswith("VmHWM")), file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_file(bundle, tmp_path):
    head, body = csv_text(machine_rows(1000)).split("\n", 1)
    peaks = []
    for copies in (20, 120):
        path = tmp_path / f"{copies}.csv"
        path.write_text(f"{head}\n{body * copies}")
        arguments = ["score", "--bundle", str(bundle), "--csv", str(path), "--json"]
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, *arguments],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True,
        )  # fmt: skip
        peaks.append(int(done.stderr.decode().rpartition("VmHWM:")[2].split()[0]))
    assert peaks[1] < peaks[0] + 2048  # kB; 100,000 more scores and times would be ten times that


def test_replay_keeps_the_file_s_pace(bundle, tmp_path):
    (tmp_path / "a.csv").write_text(csv_text(machine_rows(4, seed=14)))
    command = [sys.executable, "-m", "edge_agent", "replay", "--bundle", bundle, "--csv"]
    command += [tmp_path / "a.csv", "--json", "--speed", "5"]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        moments = [time.monotonic() for _ in iter(process.stdout.readline, b"")]
    assert process.returncode == 0
    assert len(moments) == 4
    assert moments[3] - moments[0] > 0.5  # 3 s at five times the speed
    (tmp_path / "b.csv").write_text("flow,pressure,heat\n1,2,3\n")
    done = agent("replay", "--bundle", bundle, "--csv", tmp_path / "b.csv")
    assert b"has no time column" in done.stderr
    assert agent("replay", "--bundle", bundle, "--csv", "x", "--speed", "0").returncode == 2


def test_help_teaches_by_example(bundle):
    for command in ("score", "replay"):
        text = agent(command, "--help").stdout.decode()
        assert f"python -m edge_agent {command} --bundle" in text


def test_a_released_bundle_is_installed_and_alarms(bundle, tmp_path):
    repository = Repository(tmp_path / "repository")
    release = repository.publish("pump", bundle, None, "anomaly_detection")
    (tmp_path / "root.json").write_bytes(repository.trust_roots()[-1])
    done = agent(
        "install", "--repository", repository.folder, "--trusted-root", tmp_path / "root.json",
        "--root", tmp_path / "device", "pump",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    installed = tmp_path / "device" / "current" / "release.bundle"
    assert (
        json.loads(agent("selftest", "--bundle", installed, "--json").stdout)["runtime"] == "numpy"
    )
    lines, _ = scored(installed, csv_text(failing_rows()))
    assert {(line["anomaly"], line["channel"]) for line in lines[210:250]} == {(True, "pressure")}
    assert release.version == "1.0.0"

"""The daemon writes the hour around an alarm, as a table and a picture, within its bound on the disk."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_agent.child_environment import child_environment
from edge_agent.sources.table import RowBlock
from edge_agent.update import durable
from edge_agent.watching.alarm_folder import AlarmFolder
from edge_agent.watching.alarm_hour import AlarmHour, Kept
from edge_agent.watching.watch import Finding
from edge_agent.workloads import alarm_hours
from edge_agent.workloads.alarm_hours import HourWriter
from edge_agent.workloads.counting import Counting
from edge_agent.workloads.job import Job
from edge_agent.workloads.speaking import Speaker
from tests.fixtures.anomaly_bundles import csv_text, machine_rows, write_anomaly_bundle
from tests.fixtures.daemons import PATIENCE_S, daemon, write_config


def _hour(time_: str, rows: int = 50) -> AlarmHour:
    finding = Finding(time=time_, score=2.0, anomaly=True, channel="flow", threshold=1.0)
    kept = [Kept(second=float(i), values=(1.0,), finding=finding) for i in range(rows)]
    return AlarmHour(channels=["flow"], rows=kept, begun=0)


def _held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("alarm-*"))


def test_the_folder_stays_within_its_bound_and_the_newest_stay(tmp_path):
    size = len(_hour("t0").csv())
    folder = AlarmFolder(tmp_path / "alarms", 3 * size + size // 2)
    (tmp_path / "alarms").mkdir()
    (tmp_path / "alarms/mine.txt").write_text("x" * 10 * size)
    for number in range(6):
        path = folder.add(_hour(f"t{number}"))
        os.utime(path, (number, number))
        assert _held(tmp_path / "alarms") <= 3 * size + size // 2
    names = sorted(path.name for path in (tmp_path / "alarms").iterdir())
    assert names == ["alarm-t3.csv", "alarm-t4.csv", "alarm-t5.csv", "mine.txt"]
    # A picture takes the place of what is older, and not of its own table.
    folder.add_picture(tmp_path / "alarms/alarm-t3.csv", b"x" * 2 * size)
    names = sorted(path.name for path in (tmp_path / "alarms").glob("alarm-*"))
    assert names == ["alarm-t3.csv", "alarm-t3.png"]
    assert folder.add(_hour("t9", rows=500)) is None
    assert _held(tmp_path / "alarms") == 3 * size


def test_the_newest_stay_though_the_clock_was_set_back(tmp_path):
    """A device without a clock of its own begins in a year long past, until the network tells it better."""
    size = len(_hour("t0").csv())
    folder = AlarmFolder(tmp_path, 3 * size + size // 2)
    ahead = time.time() + 1e8
    for number in range(3):
        os.utime(folder.add(_hour(f"t{number}")), (ahead + number, ahead + number))
    folder.add(_hour("t3"))
    folder.add(_hour("t4"))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["alarm-t2", "alarm-t3", "alarm-t4"]


def test_alarms_of_the_same_name_do_not_replace_each_other(tmp_path):
    folder = AlarmFolder(tmp_path, 1 << 20)
    assert [folder.add(_hour("7")).name for _ in range(3)] == [
        "alarm-7.csv", "alarm-7-2.csv", "alarm-7-3.csv",
    ]  # fmt: skip


def test_an_alarm_after_which_no_row_comes_is_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(alarm_hours, "_DRAWN_S", 60.0)  # a busy machine changes no verdict
    now = [0.0]
    job = Job(bundle="", source="-", root=str(tmp_path), alarm_bytes=1 << 20)
    hours = HourWriter(job, ["flow"], Speaker(Counting()), clock=lambda: now[0])
    kept = _hour("t0", rows=3).rows
    block = RowBlock(times=["t0"] * 3, seconds=np.arange(3.0), rows=np.ones((3, 1)))
    hours.take(block, [row.finding for row in kept])
    for now[0], written in ((599.0, 0), (600.0, 1), (1300.0, 1)):
        hours.waited()
        assert len(list((tmp_path / "alarms").glob("*.csv"))) == written
    hours.close()
    assert len(list((tmp_path / "alarms").iterdir())) == 2


def test_a_picture_that_is_never_done_is_given_up(tmp_path):
    words = ("edge_agent.workloads.alarm_drawing", str(tmp_path / "alarm-t0.csv"), "1000", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stdin=subprocess.PIPE, env=child_environment()
    )
    with process:
        assert process.wait(60) == -signal.SIGALRM  # nothing comes on its standard input
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_swept_at_the_start_and_by_no_drawing(tmp_path, monkeypatch):
    monkeypatch.setattr(alarm_hours, "_DRAWN_S", 60.0)
    folder = tmp_path / "alarms"
    folder.mkdir()
    left = durable.aside(folder / "alarm-t9.csv")
    left.touch()
    job = Job(bundle="", source="-", root=str(tmp_path), alarm_bytes=1 << 20)
    hours = HourWriter(job, ["flow"], Speaker(Counting()))
    assert not left.exists()
    left.touch()
    block = RowBlock(times=["t0"], seconds=np.zeros(1), rows=np.ones((1, 1)))
    hours.take(block, [_hour("t0", rows=1).rows[0].finding])
    hours.close()
    assert (folder / "alarm-t0.png").exists()
    assert left.exists()


@pytest.fixture
def pump(tmp_path):
    write_anomaly_bundle(tmp_path / "pump.bundle")
    rows = machine_rows(1500)
    rows[300:330, 0] += 40
    lines = csv_text(rows).splitlines(keepends=True)
    (tmp_path / "pump.csv").write_text(lines[0])

    def settings(more: str = "") -> Path:
        table = f'[anomaly]\nsource = "pump.csv"\nbundle = "pump.bundle"\n{more}'
        return write_config(tmp_path, table)

    def log(running, count: int) -> None:
        running.pid("anomaly")
        with (tmp_path / "pump.csv").open("a") as file:
            file.write("".join(lines[1 : count + 1]))

    return settings, log, tmp_path / "device/alarms"


def test_the_daemon_writes_table_and_picture_ten_minutes_after_the_alarm_began(pump):
    settings, log, folder = pump
    with daemon(settings()) as running:
        log(running, 1500)
        path = Path(running.wait("alarm_written", "anomaly")["path"])
        assert path.parent == folder
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert len(rows) == pytest.approx(900, abs=10)
        worst = [row for row in rows if row["anomaly"] == "1"]
        assert worst[0]["channel"] == "flow"
        assert float(worst[0]["flow"]) > 80
        picture = path.with_suffix(".png")
        until = time.monotonic() + PATIENCE_S
        while not picture.exists() and time.monotonic() < until:
            time.sleep(0.05)
        pixels = np.asarray(Image.open(picture))
        assert (pixels == [250, 220, 205]).all(axis=2).any()
        assert running.end() == 0
        assert running.errors == b""


def test_an_alarm_that_is_not_over_is_written_at_the_end_and_none_where_none_may(pump):
    settings, log, folder = pump
    with daemon(settings()) as running:
        log(running, 320)
        running.wait("alarm", "anomaly")
        assert running.end() == 0
    (path,) = folder.glob("*.csv")
    assert path.with_suffix(".png").exists()
    path.unlink()
    with daemon(settings("alarm_bytes = 0\n")) as running:
        log(running, 1500)
        running.wait("alarm_over", "anomaly")
        assert running.end() == 0
    assert not list(folder.glob("*.csv"))

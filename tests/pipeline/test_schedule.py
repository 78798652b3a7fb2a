"""The schedule command, as a service manager uses it: processes, signals, kills and restarts."""

from __future__ import annotations

import datetime
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.lineage.schema import Context
from pipeline.lineage.store import LineageStore
from pipeline.root_lock import LOCK, hold
from pipeline.schedule.ledger import Fire, Ledger
from tests.fixtures.processes import is_running

ROOT = Path(__file__).resolve().parents[2]
TINY = ("-m", "tests.fixtures.tiny_pipeline")
EVERY_SECOND = ("--cron", "* * * * * *")
NIGHTLY = ("--cron", "0 3 * * *", "--timezone", "Europe/Berlin")
PATIENCE = 240.0


class Scheduler:
    """A scheduler in a process of its own; `folder` holds ``data`` and ``root``."""

    def __init__(self, folder: Path, program: tuple[str, ...], *arguments: str) -> None:
        (folder / "data" / "yes").mkdir(parents=True, exist_ok=True)
        (folder / "data" / "yes" / "a.wav").touch()
        os.utime(folder / "data" / "yes" / "a.wav", (1, 1))
        self._printed = folder / f"printed-{time.monotonic_ns()}"
        path = os.pathsep.join(p for p in (str(ROOT), *sys.path) if p)
        words = [*program, "schedule", "keyword_spotting", "--root", "root", *arguments]
        with self._printed.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path},
            )

    @property
    def text(self) -> str:
        """What it, and what it started, printed."""
        return self._printed.read_text()

    def awaits(self, pattern: str) -> None:
        """Waits until it has printed `pattern`."""
        until(lambda: re.search(pattern, self.text), lambda: f"no {pattern!r} in:\n{self.text}")

    def ends(self, number: int | None = None) -> int:
        """Sends a signal, and gives the exit code."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)


Start = Callable[..., Scheduler]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Scheduler] = []

    def begin(*arguments: str, program: tuple[str, ...] = TINY) -> Scheduler:
        started.append(Scheduler(tmp_path, program, *arguments))
        return started[-1]

    yield begin
    for scheduler in started:
        scheduler.process.kill()
        scheduler.process.communicate()


def until(holds: Callable[[], object], otherwise: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.05)


def store(folder: Path) -> Ledger:
    return Ledger(folder / "root" / "keyword_spotting" / "schedule" / "schedule.db")


def fires(folder: Path) -> list[str]:
    """How each fire ended."""
    with Session(store(folder).engine) as session:
        return list(session.scalars(select(Fire.state).order_by(Fire.id)))


def runs(folder: Path) -> list[str]:
    """How each run ended, by the lineage store."""
    lineage = LineageStore.at(folder / "root")
    with lineage.read() as session:
        found = list(session.scalars(select(Context.state).order_by(Context.id)))
    lineage.close()
    return found


def let_days_pass(folder: Path, days: int) -> None:
    """Moves what the stored job waits for into the past."""
    jobs = SQLAlchemyJobStore(engine=store(folder).engine)
    jobs.start(BlockingScheduler(), "default")
    (job,) = jobs.get_all_jobs()
    job._modify(next_run_time=job.next_run_time - datetime.timedelta(days=days))
    jobs.update_job(job)


def test_fires_missed_while_it_was_killed_are_made_up_for_by_one(tmp_path, start):
    arguments = ("--data", "data", *NIGHTLY)
    first = start(*arguments)
    first.awaits(r"next run at \d{4}-\d\d-\d\d 03:00:00\+0[12]:00")
    assert first.ends(signal.SIGKILL) == -signal.SIGKILL
    let_days_pass(tmp_path, 4)

    second = start(*arguments)
    second.awaits("missed while the scheduler was down")
    second.awaits(r"complete after[^$]*next run at")
    assert second.ends(signal.SIGTERM) == 0
    assert fires(tmp_path) == ["complete"]
    assert runs(tmp_path) == ["complete"]


def test_the_run_of_a_killed_scheduler_goes_on_and_the_next_one_waits_for_it(tmp_path, start):
    there = tmp_path / "there"
    first = start("--data", "data", *EVERY_SECOND, "--set", f"Fail.how={there}")
    until(there.exists, lambda: first.text)
    run = int((tmp_path / "root" / LOCK).read_text())
    try:
        first.awaits("skipped: .* the run before was still under way")
        assert first.ends(signal.SIGKILL) == -signal.SIGKILL
        second = start("--data", "data", *EVERY_SECOND)
        second.awaits("another run has the root; waiting for it")
    finally:
        os.kill(run, signal.SIGINT)
    second.awaits("complete after")
    assert second.ends(signal.SIGTERM) == 0
    assert runs(tmp_path)[:2] == ["interrupted", "complete"]
    recorded = fires(tmp_path)
    assert [state for state in recorded if state != "skipped"][:2] == ["interrupted", "complete"]
    assert "skipped" in recorded


def test_sigterm_ends_the_run_cleanly(tmp_path, start):
    there = tmp_path / "there"
    scheduler = start("--data", "data", *EVERY_SECOND, "--set", f"Fail.how={there}")
    until(there.exists, lambda: scheduler.text)
    step = int(there.read_text())
    assert scheduler.ends(signal.SIGTERM) == 0
    assert "Traceback" not in scheduler.text
    assert "interrupted" in fires(tmp_path)
    assert runs(tmp_path) == ["interrupted"]
    until(lambda: not is_running(step), lambda: "its step goes on")


def test_one_run_now_tells_by_its_exit_code_and_its_hooks(tmp_path, start, capsys):
    note = tmp_path / "note"
    note.write_text(
        f'#!/bin/sh\necho "$PIPELINE_STATE $PIPELINE_RUN $PIPELINE_VERSION" >> {tmp_path}/told\n'
    )
    note.chmod(0o755)
    once = ("--once", "--data", "data", "--settle", "0.1", "--when-new-data")
    hooks = ("--on-success", str(note), "--on-failure", str(note))

    refused = start(*once, *hooks, "--set", "Judge.text=bad")
    assert refused.ends() == 3, refused.text
    assert (tmp_path / "told").read_text() == "refused 1 \n"
    command = ["pipeline", "schedule", "keyword_spotting", f"--root={tmp_path / 'root'}"]
    assert main(parse([*command, "--history", "--timezone", "Asia/Tokyo"])) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[2:] == ["refused", "run", "1"]
    assert "+09:00  " in line


def test_the_run_itself_is_that_of_the_pipeline(tmp_path, start):
    told = tmp_path / "told"
    hook = f"sh -c 'echo $PIPELINE_STATE $PIPELINE_EXIT_CODE $PIPELINE_RUN > {told}'"
    scheduler = start("--once", "--data", "data", "--on-failure", hook, program=("-m", "pipeline"))
    assert scheduler.ends() == 1
    assert "holds words in one folder only (yes)" in scheduler.text
    assert told.read_text() == "failed 1 1\n"
    assert runs(tmp_path) == ["failed"]


def test_a_store_that_is_none_is_named(tmp_path, capsys):
    path = tmp_path / "root" / "keyword_spotting" / "schedule" / "schedule.db"
    path.parent.mkdir(parents=True)
    path.write_text("This is no database, but a text that is longer than its header would be. " * 9)
    before = path.read_bytes()
    root = f"--root={tmp_path / 'root'}"
    assert main(parse(["pipeline", "schedule", "keyword_spotting", root, *NIGHTLY])) == 1
    assert f"error: {path}: cannot be used as the schedule's store" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "one of the arguments --cron --once --history is required"),
        (["--once", *NIGHTLY], 2, "--timezone"),
        (["--cron", "0 3 * *"], 1, 'error: --cron "0 3 * *": has 4 fields'),
        ([*NIGHTLY[:3], "Europe/Belrin"], 1, "did you mean Europe/Berlin?"),
        ([*NIGHTLY, "--data", "missing"], 1, "missing: no such folder"),
        ([*NIGHTLY, "--set", "Trainr.epochs=3"], 1, "did you mean Trainer?"),
        ([*NIGHTLY, "--lineage", "mysql://host/name"], 1, "--lineage"),
        (["--history"], 1, "schedule.db: not there: no schedule of keyword_spotting was started"),
        ([*NIGHTLY, "--when-new-data"], 1, "give their folder with --data"),
        ([*NIGHTLY, "--settle", "-1"], 2, "not between 0 and 86400 seconds"),
        ([*NIGHTLY, "--settle", "nan"], 2, "not between 0 and 86400 seconds"),
        ([*NIGHTLY, "--on-success", "no-such-program"], 1, "there is no such program"),
    ],
)
def test_what_would_fail_at_night_is_refused_at_once(tmp_path, capsys, arguments, code, said):
    root = tmp_path / "root"
    try:
        ended = main(
            parse(["pipeline", "schedule", "keyword_spotting", f"--root={root}", *arguments])
        )
    except SystemExit as e:
        ended = e.code
    printed = capsys.readouterr()
    assert (ended, printed.out) == (code, "")
    assert said in printed.err
    assert not root.exists()


def test_there_is_one_scheduler_at_a_time(tmp_path, capsys):
    folder = tmp_path / "keyword_spotting" / "schedule"
    folder.mkdir(parents=True)
    command = ["pipeline", "schedule", "keyword_spotting", f"--root={tmp_path}", *NIGHTLY]
    with hold(folder):
        assert main(parse(command)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder}: another schedule of keyword_spotting is at work")


def test_a_root_that_cannot_be_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("a file")
    root = f"--root={tmp_path / 'file'}"
    assert main(parse(["pipeline", "schedule", "keyword_spotting", root, *NIGHTLY])) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file'}")

"""The service in this process: what its job store makes of missed, late and overlapping fires."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.blocking import BlockingScheduler
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipeline.schedule.cron import trigger
from pipeline.schedule.ledger import Fire, Ledger
from pipeline.schedule.service import CatchUp, Service, until_signal

YEARLY = "0 3 1 1 *"
EVERY_SECOND = "* * * * * *"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(tmp_path / "schedule.db")
    yield found
    found.close()


@contextlib.contextmanager
def serving(
    ledger: Ledger, cron: str, catch_up: CatchUp, fire: Callable[[], int]
) -> Iterator[list[str]]:
    """The lines that a service says, from when it is ready until it has ended."""
    lines: list[str] = []
    service = Service(
        recipe="tiny",
        timing=cron,
        trigger=trigger(cron, datetime.UTC),
        catch_up=catch_up,
        ledger=ledger,
        fire=fire,
        log=lines.append,
    )
    thread = threading.Thread(target=service.serve)
    thread.start()
    try:
        until(lambda: any(line.startswith("next run at") for line in lines))
        yield lines
    finally:
        service.end()
        thread.join(30)
    assert not thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def age(ledger: Ledger, time_passed: datetime.timedelta) -> datetime.datetime:
    """Lets time pass for the stored job; gives when it is due."""
    store = SQLAlchemyJobStore(engine=ledger.engine)
    store.start(BlockingScheduler(), "default")
    (job,) = store.get_all_jobs()
    due = datetime.datetime.now(datetime.UTC) - time_passed
    job._modify(next_run_time=due)
    store.update_job(job)
    return due


def states(ledger: Ledger) -> list[str]:
    with Session(ledger.engine) as session:
        return list(session.scalars(select(Fire.state).order_by(Fire.id)))


def served(ledger: Ledger, cron: str, catch_up: CatchUp, expected: int) -> list[str]:
    """Serves until there were so many fires and a while longer; gives the lines."""
    fired: list[float] = []

    def fire() -> int:
        fired.append(time.monotonic())
        return 0

    with serving(ledger, cron, catch_up, fire) as lines:
        until(lambda: len(fired) >= expected)
        time.sleep(0.5)
    assert len(fired) == expected
    return lines


def test_fires_missed_long_ago_are_made_up_for_by_one(ledger):
    assert served(ledger, YEARLY, "once", 0)[0].startswith("next run at")
    age(ledger, datetime.timedelta(days=3 * 365))
    lines = served(ledger, YEARLY, "once", 1)
    assert "missed while the scheduler was down" in lines[0]
    assert served(ledger, YEARLY, "once", 0)[0].startswith("next run at")


def test_missed_fires_are_let_go_and_recorded_if_that_is_asked_for(ledger):
    served(ledger, YEARLY, "none", 0)
    age(ledger, datetime.timedelta(minutes=2))
    lines = served(ledger, YEARLY, "none", 0)
    assert any("missed: " in line and "more than 60 s late" in line for line in lines)
    assert states(ledger) == ["missed"]


def test_a_fire_that_is_a_little_late_is_not_missed(ledger):
    served(ledger, YEARLY, "none", 0)
    age(ledger, datetime.timedelta(seconds=10))
    served(ledger, YEARLY, "none", 1)


def test_another_expression_has_missed_nothing(ledger):
    served(ledger, YEARLY, "once", 0)
    age(ledger, datetime.timedelta(days=3))
    served(ledger, "0 4 1 1 *", "once", 0)


@pytest.mark.parametrize("state", ["running", "interrupted"])
def test_a_fire_that_was_cut_off_is_made_up_for(ledger, state):
    served(ledger, YEARLY, "once", 0)
    ledger.begin()
    if state == "interrupted":
        ledger.end(1, "interrupted", "the scheduler was ended", None, None)
    assert "the last run was cut off; catching up" in served(ledger, YEARLY, "once", 1)
    assert states(ledger) == ["interrupted"]


def test_a_fire_that_was_cut_off_is_let_go_if_that_is_asked_for(ledger):
    served(ledger, YEARLY, "none", 0)
    ledger.begin()
    served(ledger, YEARLY, "none", 0)
    assert states(ledger) == ["interrupted"]


def test_fires_do_not_overlap(ledger):
    under_way: list[int] = []
    most: list[int] = []
    release = threading.Event()

    def fire() -> int:
        under_way.append(1)
        most.append(len(under_way))
        release.wait(60)
        under_way.pop()
        return 0

    with serving(ledger, EVERY_SECOND, "once", fire):
        until(lambda: "skipped" in states(ledger))
        release.set()
        until(lambda: len(most) >= 2)
    assert max(most) == 1


def test_a_fire_that_raises_is_told_and_the_next_one_comes(ledger):
    fired: list[int] = []

    def fire() -> int:
        fired.append(1)
        raise ZeroDivisionError("never by nought")

    with serving(ledger, EVERY_SECOND, "once", fire) as lines:
        until(lambda: len(fired) >= 2)
    assert any("error: ZeroDivisionError: never by nought" in line for line in lines)


def test_a_fire_that_comes_due_at_the_very_end_is_no_error(ledger, monkeypatch, caplog):
    shutdown = BlockingScheduler.shutdown

    def slow(scheduler, wait=True):
        for executor in scheduler._executors.values():
            executor.shutdown(wait)
        time.sleep(1.2)  # in which one comes due
        shutdown(scheduler, wait)

    monkeypatch.setattr(BlockingScheduler, "shutdown", slow)
    with serving(ledger, EVERY_SECOND, "none", lambda: 0):
        pass
    assert caplog.text == ""


def test_a_job_of_another_version_of_the_program_is_made_anew(ledger):
    served(ledger, YEARLY, "once", 0)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE apscheduler_jobs SET job_state = x'00'"))
    served(ledger, YEARLY, "once", 0)
    age(ledger, datetime.timedelta(days=1))
    served(ledger, YEARLY, "once", 1)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)]
)
def test_a_signal_ends_the_work_and_decides_the_exit_code(number, code):
    ended = threading.Event()
    # Whoever started the tests may ignore some, as nohup does; until_signal would respect it.
    inherited = signal.signal(number, signal.default_int_handler)

    def work() -> int:
        os.kill(os.getpid(), number)
        assert ended.wait(60)
        return 7

    try:
        assert until_signal(work, ended.set) == code
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, inherited)


def test_work_that_ends_by_itself_decides_the_exit_code():
    assert until_signal(lambda: 7, lambda: None) == 7
    with pytest.raises(ZeroDivisionError):
        until_signal(lambda: 1 // 0, lambda: None)

"""The foreground service: APScheduler with a job store that survives restarts, and its end by signal.

The store keeps one job, with the time of its next fire. Whoever starts again with the same expression
finds a fire that was missed meanwhile; with another expression, nothing was missed. `catch_up` decides:
``once`` makes up for any number of missed fires by one, however late; ``none`` lets those go that are
more than `GRACE` seconds late, so that a busy machine loses none.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_STARTED,
    JobExecutionEvent,
    JobSubmissionEvent,
    SchedulerEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor as JobThreads
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger

from pipeline.schedule.ledger import Ledger

GRACE = 60
"""Seconds by which a fire may be late without being missed, where missed ones are let go."""

CatchUp = Literal["once", "none"]

_INTERRUPTED = 130
_services: dict[str, Service] = {}


class Service:
    """Fires by a trigger until it is ended.

    Args:
        recipe: the recipe's name, which the job bears too.
        timing: what the trigger was made from; the same again means the same schedule.
        trigger: when to fire.
        catch_up: what becomes of fires that were missed.
        ledger: where those that never start are recorded; the job is kept in its database.
        fire: does one.
        log: takes lines for people.
    """

    def __init__(
        self,
        *,
        recipe: str,
        timing: str,
        trigger: BaseTrigger,
        catch_up: CatchUp,
        ledger: Ledger,
        fire: Callable[[], int],
        log: Callable[[str], None],
    ) -> None:
        self._recipe = recipe
        self._timing = timing
        self._trigger = trigger
        self._catch_up = catch_up
        self._ledger = ledger
        self._fire = fire
        self._log = log
        self._started = threading.Event()
        # What it warns of there, `_missed`, `_overlapped` and `_crashed` say.
        logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)
        logging.getLogger("apscheduler.scheduler").setLevel(logging.WARNING)
        logging.getLogger("apscheduler.scheduler").addFilter(_is_no_overlap)
        self._scheduler = BlockingScheduler(
            executors={"default": JobThreads(1)}, timezone=datetime.UTC
        )
        self._scheduler.add_listener(self._ready, EVENT_SCHEDULER_STARTED)
        self._scheduler.add_listener(self._missed, EVENT_JOB_MISSED)
        self._scheduler.add_listener(self._overlapped, EVENT_JOB_MAX_INSTANCES)
        self._scheduler.add_listener(self._crashed, EVENT_JOB_ERROR)

    def serve(self) -> int:
        """Fires until `end` is called from another thread; gives 0."""
        try:
            self._add_job()
            self._scheduler.start()
            return 0
        finally:
            self._started.set()

    def end(self) -> None:
        """Fires no more; waits for a fire under way, which somebody else must end."""
        self._started.wait()
        # A fire that comes due at this moment finds no thread any more; that is no error to tell of.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.CRITICAL)
        with contextlib.suppress(SchedulerNotRunningError):
            self._scheduler.shutdown()

    def fire(self) -> None:
        """One fire, in a thread of APScheduler."""
        self._fire()
        self._say_next()

    def _add_job(self) -> None:
        store = SQLAlchemyJobStore(engine=self._ledger.engine)
        store.start(self._scheduler, "default")
        due = self._due(store)
        self._scheduler.add_jobstore(store)
        _services[self._recipe] = self
        self._scheduler.add_job(
            fire,
            self._trigger,
            args=(self._recipe,),
            id=self._recipe,
            name=self._timing,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None if self._catch_up == "once" else GRACE,
            replace_existing=True,
            **({} if due is None else {"next_run_time": due}),
        )

    def _due(self, store: SQLAlchemyJobStore) -> datetime.datetime | None:
        """When the stored job was to fire next, or now if its last fire was cut off."""
        cut_off = self._ledger.end_cut_off()
        stored = {job.id: job for job in store.get_all_jobs()}.get(self._recipe)
        if stored is None or stored.name != self._timing:
            return None
        due: datetime.datetime = stored.next_run_time
        now = datetime.datetime.now(datetime.UTC)
        if cut_off and self._catch_up == "once" and due > now:
            self._log("the last run was cut off; catching up")
            return now
        if due < now:
            what = "catching up" if self._catch_up == "once" else f"let go if over {GRACE} s ago"
            self._log(f"missed while the scheduler was down: {_text(due)} and any after; {what}")
        return due

    def _say_next(self) -> None:
        following = self._trigger.get_next_fire_time(None, datetime.datetime.now(datetime.UTC))
        self._log(f"next run at {_text(following)}")

    def _ready(self, _event: SchedulerEvent) -> None:
        self._started.set()
        self._say_next()

    def _missed(self, event: JobExecutionEvent) -> None:
        late = f"more than {GRACE} s late"
        self._ledger.pass_over(event.scheduled_run_time, "missed", late)
        self._log(f"missed: {_text(event.scheduled_run_time)}: {late}")
        self._say_next()

    def _overlapped(self, event: JobSubmissionEvent) -> None:
        reason = "the run before was still under way"
        for due in event.scheduled_run_times:
            self._ledger.pass_over(due, "skipped", reason)
            self._log(f"skipped: {_text(due)}: {reason}")

    def _crashed(self, event: JobExecutionEvent) -> None:
        self._log(f"error: {type(event.exception).__name__}: {event.exception}\n{event.traceback}")


def fire(recipe: str) -> None:
    """What the stored job calls: a store can keep no more than a name and plain values."""
    _services[recipe].fire()


def until_signal(work: Callable[[], int], end: Callable[[], None]) -> int:
    """Does `work` in a thread; a signal calls `end`, which must make it return.

    Returns:
        what `work` gives; 130 if Ctrl-C ended it, 0 if SIGTERM or SIGHUP did.
    """
    reading, writing = os.pipe()
    received: list[int] = []

    def receive(number: int, _frame: types.FrameType | None) -> None:
        received.append(number)
        os.write(writing, b"s")

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, receive)
    try:
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(work)
            done.add_done_callback(lambda _: os.write(writing, b"d"))
            os.read(reading, 1)
            if received:
                end()
            code = done.result()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)
    if received:
        return _INTERRUPTED if received[0] == signal.SIGINT else 0
    return code


def _is_no_overlap(record: logging.LogRecord) -> bool:
    return "maximum number of running instances" not in record.getMessage()


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")

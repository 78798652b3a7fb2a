"""One fire of a schedule, with a shell in the place of the run: real processes, locks and hooks."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from components.artifacts import write_json
from components.base import UserError
from pipeline.root_lock import hold
from pipeline.schedule import fires, run_process
from pipeline.schedule.fires import Fires, Plan
from pipeline.schedule.hooks import hook
from pipeline.schedule.ledger import Fire, Ledger
from pipeline.schedule.run_process import Runs
from tests.fixtures.processes import is_running


@dataclasses.dataclass
class Bench:
    """A schedule at a root of its own; the words of its plan are a shell's."""

    plan: Plan
    ledger: Ledger
    runs: Runs
    lines: list[str]

    def fire(self, script: str, **plan: object) -> int:
        """One fire whose run is `script`."""
        changed = dataclasses.replace(self.plan, words=(script,), **plan)
        return Fires(changed, self.ledger, self.runs, self.newest_run, self.lines.append)()

    def newest_run(self) -> int:
        """Four runs, and those of the fires."""
        return 4 + self.lines.count("running tiny")

    @property
    def recorded(self) -> list[tuple[str, str, int | None]]:
        """State, reason and run of each fire."""
        with Session(self.ledger.engine) as session:
            rows = session.scalars(select(Fire).order_by(Fire.id))
            return [(fire.state, fire.reason, fire.run) for fire in rows]

    @property
    def told(self) -> list[str]:
        """What the hooks wrote, a line each."""
        path = self.plan.root / "told"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(run_process, "COMMAND", ("sh", "-c"))
    monkeypatch.setattr(fires, "_POLL", 0.05)
    root, data = tmp_path / "root", tmp_path / "data"
    (data / "yes").mkdir(parents=True)
    (data / "yes" / "a.wav").write_bytes(b"sound")
    report = {"model": {"version": "1.2.3"}}
    (root / "tiny").mkdir(parents=True)
    write_json(root / "tiny" / "report.json", report)
    program = tmp_path / "note"
    program.write_text(
        f'#!/bin/sh\necho "$1 $PIPELINE_STATE $PIPELINE_EXIT_CODE $PIPELINE_RUN '
        f'$PIPELINE_VERSION" >> {root}/told\n'
    )
    program.chmod(0o755)
    plan = Plan(
        recipe="tiny",
        root=root,
        words=(),
        data=data,
        new_data_only=False,
        settle=0.0,
        busy="wait",
        on_success=(hook("--on-success", f"{program} success"),),
        on_failure=(hook("--on-failure", f"{program} failure"),),
    )
    ledger = Ledger(tmp_path / "schedule.db")
    yield Bench(plan, ledger, Runs(), [])
    ledger.close()


@pytest.mark.parametrize(
    ("script", "code", "state", "run", "told"),
    [
        ("exit 0", 0, "complete", 5, "success complete 0 5 1.2.3"),
        ("exit 3", 3, "refused", 5, "failure refused 3 5 1.2.3"),
        ("exit 1", 1, "failed", 5, "failure failed 1 5 "),
        ("kill -9 $$", -9, "failed", 5, "failure failed -9 5 "),
        ("exit 130", 130, "interrupted", 5, "failure interrupted 130 5 "),
    ],
)
def test_each_end_of_a_run_is_recorded_and_told(bench, script, code, state, run, told):
    assert bench.fire(script) == code
    reason = "ended by signal 9" if code == -9 else ""
    assert bench.recorded == [(state, reason, run)]
    assert bench.told == [told]


def test_a_hook_that_fails_stops_neither_the_others_nor_the_next_run(bench):
    broken = hook("--on-success", "sh -c 'exit 4'")
    hooks = (broken, *bench.plan.on_success)
    assert bench.fire("exit 0", on_success=hooks) == 0
    assert bench.fire("exit 0", on_success=hooks) == 0
    assert bench.lines.count("hook sh: ended with exit code 4") == 2
    assert len(bench.told) == 2


def test_recordings_decide_whether_there_is_a_run(bench):
    def fire(script: str) -> str:
        bench.fire(script, new_data_only=True)
        return bench.recorded[-1][0]

    assert fire("exit 0") == "complete"
    assert fire("exit 0") == "unchanged"
    (bench.plan.data / "yes" / "b.wav").write_bytes(b"sound")
    assert fire("exit 0") == "complete"
    assert fire("exit 0") == "unchanged"
    assert len(bench.told) == 2  # nobody is told that nothing happened


@pytest.mark.parametrize("code", [1, 3, 130])
def test_a_run_that_did_not_complete_is_tried_again_on_the_same_recordings(bench, code):
    script = f"test -e {bench.plan.root}/well || exit {code}"
    assert bench.fire(script, new_data_only=True) == code
    (bench.plan.root / "well").touch()
    assert bench.fire(script, new_data_only=True) == 0
    assert [state for state, *_ in bench.recorded][-1] == "complete"


def test_recordings_that_are_gone_are_a_failure(bench):
    missing = bench.plan.data / "missing"
    assert bench.fire("exit 0", new_data_only=True, data=missing) == 1
    assert bench.recorded == [("failed", f"{missing}: No such file or directory", None)]
    assert bench.told == ["failure failed 1  "]


def test_a_fire_waits_for_a_run_that_somebody_else_started(bench):
    with hold(bench.plan.root):
        waiting = threading.Thread(target=bench.fire, args=("exit 0",))
        waiting.start()
        await_line(bench, "another run has the root; waiting for it")
        assert bench.recorded == [("running", "", None)]
    waiting.join(60)
    assert bench.recorded == [("complete", "", 5)]


def test_a_fire_is_skipped_if_that_is_asked_for(bench):
    with hold(bench.plan.root):
        assert bench.fire("exit 0", busy="skip") == 1
    assert bench.recorded == [("skipped", "another run has the root", None)]
    assert bench.told == []


def test_a_run_that_comes_too_late_for_the_root_waits_for_it(bench):
    """Between the look at the root and the run, somebody else starts one there."""
    root, other = bench.plan.root, bench.plan.root / "other"
    held = bench.plan.root / "held"
    script = (
        f"test -e {other} && exit 0; touch {other}; "
        f"while ! test -e {held}; do sleep 0.01; done; exit 1"
    )
    release = threading.Event()

    def somebody_else() -> None:
        while not other.exists():
            time.sleep(0.01)
        with hold(root):
            held.touch()
            release.wait(60)

    threads = [
        threading.Thread(target=somebody_else),
        threading.Thread(target=bench.fire, args=(script,)),
    ]
    for thread in threads:
        thread.start()
    await_line(bench, "another run has the root; waiting for it")
    release.set()
    for thread in threads:
        thread.join(60)
    assert bench.recorded == [("complete", "", 6)]


def test_a_lineage_that_is_gone_hides_the_number_and_nothing_else(bench, monkeypatch):
    def gone() -> int:
        raise UserError("PostgreSQL is gone")

    monkeypatch.setattr(bench, "newest_run", gone)
    assert bench.fire("exit 0") == 0
    assert bench.recorded == [("complete", "", None)]
    assert bench.told == ["success complete 0  1.2.3"]
    assert "the run's number is not known: PostgreSQL is gone" in bench.lines


def test_an_end_reaches_the_run_with_all_that_it_started(bench):
    root = bench.plan.root
    script = f"""
        trap 'echo clean > {root}/clean; exit 130' INT
        sleep 60 & echo $! > {root}/new; mv {root}/new {root}/pid
        wait"""
    fire = threading.Thread(target=bench.fire, args=(script,))
    fire.start()
    while not (root / "pid").exists():
        time.sleep(0.01)
    bench.runs.end()
    fire.join(60)
    assert (root / "clean").read_text() == "clean\n"
    assert bench.recorded == [("interrupted", "the scheduler was ended", 5)]
    assert bench.told == []  # who ended the scheduler knows
    child, end = int((root / "pid").read_text()), time.monotonic() + 60
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(child)
    assert bench.fire("exit 0") == 130  # no other run is started


def test_a_run_that_does_not_heed_the_end_is_ended_nevertheless(bench, monkeypatch):
    monkeypatch.setattr(run_process, "PATIENCE", 0.2)
    ready = bench.plan.root / "ready"
    fire = threading.Thread(
        target=bench.fire, args=(f"trap '' INT; touch {ready}; while :; do sleep 1; done",)
    )
    fire.start()
    while not ready.exists():
        time.sleep(0.01)
    bench.runs.end()
    fire.join(60)
    assert bench.recorded == [("interrupted", "the scheduler was ended", 5)]


def await_line(bench: Bench, line: str) -> None:
    end = time.monotonic() + 60
    while line not in bench.lines and time.monotonic() < end:
        time.sleep(0.01)
    assert line in bench.lines

"""Rollouts in a database under whatever comes: late joiners, late and repeated words, roll backs."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.control import rollouts
from fleet.rollout.action import FINAL, IN_FLIGHT
from fleet.rollout.errors import ActionClosedError, ActionUnknownError, RolloutError
from fleet.rollout.plan import Group, waves
from fleet.store.database import Database, default_url
from fleet.store.schema import ACTION, DEVICE
from tests.fixtures.small_fleet import SmallFleet

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # where a commit waits for no disk
CANARY = Group(
    name="canary", percent=40, error_threshold=0.5, minimum_sample=2, exposure=2, patience_s=400
)
EVERYBODY = dataclasses.replace(
    CANARY, name="all", percent=100, error_threshold=1.0, success_threshold=0.0, exposure=1000
)


class FleetInDatabase(RuleBasedStateMachine):
    """A person with one rollout after another, and devices that do not care."""

    @initialize(devices=st.integers(1, 6))
    def begin(self, devices):
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.database = Database(default_url(Path(self.folder.name)))
        self.fleet = SmallFleet(self.database, Path(self.folder.name))
        self.ids = self.fleet.add_devices(devices)
        self.rollouts: list[int] = []
        self.releases = [self.fleet.release("1.0.0")]
        self.said: list[tuple[int, int, str, str]] = []
        self.runs: dict[int, int] = {}
        self.start(False)

    @rule(halted_by_one=st.booleans())
    def start(self, halted_by_one):
        if len(self.rollouts) > 5:
            return
        canary = dataclasses.replace(CANARY, error_threshold=0.0) if halted_by_one else CANARY
        release = self.fleet.release(f"1.{len(self.rollouts) + 1}.0")
        with contextlib.suppress(RolloutError):  # nobody may be in the canary
            self.rollouts.append(self.fleet.start(release, *waves(canary, (100,))))
            self.releases.append(release)

    @rule(device=st.integers(0, 9))
    def poll(self, device):
        self.fleet.poll(self.ids[device % len(self.ids)])

    @rule(
        device=st.integers(0, 9),
        newest=st.integers(0, 2),
        execution=st.sampled_from(["closed", "closed", "closed", "proceeding", "canceled"]),
        finished=st.sampled_from(["success", "success", "failure"]),
    )
    def report(self, device, newest, execution, finished):
        device = self.ids[device % len(self.ids)]
        mine = self.fleet.actions(device)
        if mine:
            self.say(device, mine[-1 - newest % len(mine)].id, execution, finished)

    @precondition(lambda self: self.said)
    @rule(which=st.integers(0, 99))
    def repeat(self, which):
        self.say(*self.said[which % len(self.said)])

    @rule(device=st.integers(0, 9), other=st.integers(0, 9))
    def report_of_anothers(self, device, other):
        mine, theirs = (self.ids[number % len(self.ids)] for number in (device, other))
        if mine != theirs:
            for action in self.fleet.actions(theirs):
                try:
                    self.fleet.report(mine, action.id, "closed", "success")
                except ActionUnknownError:
                    continue
                raise AssertionError("a device reported of another's action")

    def say(self, device: int, action: int, execution: str, finished: str) -> None:
        (before,) = [row for row in self.fleet.actions(device) if row.id == action]
        try:
            self.fleet.report(device, action, execution, finished)
        except ActionClosedError:
            assert before.state in FINAL
        except ActionUnknownError:
            assert before.offered is None
        else:
            self.said.append((device, action, execution, finished))
            if (execution, finished) == ("closed", "success"):
                self.runs[device] = before.release_id
            return
        (after,) = [row for row in self.fleet.actions(device) if row.id == action]
        assert after == before

    @rule(seconds=st.sampled_from([1.0, 101.0, 500.0]))
    def wait(self, seconds):
        self.fleet.tick(seconds)

    @rule()
    def join(self):
        if len(self.ids) < 9:
            self.ids += self.fleet.add_devices(1, f"late-{len(self.ids)}")

    @rule(
        which=st.integers(0, 5),
        verb=st.sampled_from([rollouts.pause, rollouts.resume, rollouts.abort]),
    )
    def meddle(self, which, verb):
        if self.rollouts:
            with contextlib.suppress(RolloutError), self.fleet.standings() as standings:
                verb(
                    standings,
                    self.fleet.tenant.id,
                    "anna",
                    self.rollouts[which % len(self.rollouts)],
                )

    @rule(which=st.integers(0, 5), to=st.integers(0, 5), group=st.sampled_from([None, "canary"]))
    def roll_back(self, which, to, group):
        if not self.rollouts:
            return
        release = self.releases[to % len(self.releases)]
        rollout = self.rollouts[which % len(self.rollouts)]
        with contextlib.suppress(RolloutError):
            self.fleet.roll_back(rollout, release, group)

    @invariant()
    def a_device_has_one_action_at_work_and_one_a_rollout(self):
        if not hasattr(self, "database"):
            return
        with self.database.read() as connection:
            rows = connection.execute(sa.select(ACTION)).all()
        assert not [n for n in Counter((r.device_id, r.rollout_id) for r in rows).values() if n > 1]
        at_work = Counter(row.device_id for row in rows if row.state in IN_FLIGHT)
        assert not [n for n in at_work.values() if n > 1]

    @invariant()
    def the_server_knows_what_devices_said_that_they_run(self):
        if not hasattr(self, "database"):
            return
        with self.database.read() as connection:
            known = dict(connection.execute(sa.select(DEVICE.c.id, DEVICE.c.installed_id)).all())
        assert {device: known[device] for device in self.runs} == self.runs

    @rule()
    def time_that_stands_still_changes_nothing(self):
        self.fleet.tick()
        before = [self.fleet.status(rollout) for rollout in self.rollouts]
        self.fleet.tick()
        assert [self.fleet.status(rollout) for rollout in self.rollouts] == before

    @invariant()
    def what_does_not_run_shows_nobody_anything(self):
        if not hasattr(self, "database"):
            return
        for rollout in self.rollouts:
            status = self.fleet.status(rollout)
            if status["state"] in ("running", "finished"):
                continue
            with self.fleet.standings() as standings:
                rooms = [standings.room(rollout, index) for index in range(len(status["groups"]))]
            assert not any(rooms)

    def teardown(self):
        """Whatever came before: the next release reaches everybody, and then nothing is left open."""
        if not hasattr(self, "database"):
            return
        last = self.fleet.start(self.fleet.release("9.0.0"), EVERYBODY)
        for _ in range(60):
            for device in self.ids:
                self.fleet.poll(device)
                for action in self.fleet.actions(device, "offered", "running"):
                    said = (device, action.id, "closed", "success")
                    self.fleet.report(*said)
            self.fleet.tick(30.0)
        with self.database.read() as connection:
            installed = connection.scalars(sa.select(DEVICE.c.installed_id)).all()
            left = connection.scalars(
                sa.select(ACTION.c.state).where(
                    ACTION.c.state.in_(("offered", "running")), ACTION.c.rollout_id <= last
                )
            ).all()
        status = self.fleet.status(last)
        assert (status["state"], left) == ("finished", [])
        assert set(installed) == {status_release(self.database, last)}
        self.database.close()
        self.folder.cleanup()


def status_release(database: Database, rollout: int) -> int:
    with database.read() as connection:
        found: int = connection.scalars(
            sa.select(ACTION.c.release_id).where(ACTION.c.rollout_id == rollout).limit(1)
        ).one()
    return found


TestFleetInDatabase = FleetInDatabase.TestCase
TestFleetInDatabase.settings = settings(max_examples=8, stateful_step_count=25)

"""The rollout's rules one by one, and all of them together under reports in any order."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.rollout import action as actions
from fleet.rollout import engine
from fleet.rollout.action import FINAL, IN_FLIGHT, Action, ActionState, Report
from fleet.rollout.engine import Counts, Rollout, RolloutState
from fleet.rollout.errors import (
    ActionClosedError,
    ActionUnknownError,
    PlanError,
    RolloutError,
)
from fleet.rollout.filters import Filter
from fleet.rollout.membership import Membership
from fleet.rollout.plan import Group, Plan, decode, encode, parse_shares, waves

TIME_OUT = 100.0
GROUP = Group(
    name="canary",
    percent=100,
    success_threshold=0.8,
    error_threshold=0.2,
    minimum_sample=5,
    exposure=5,
    patience_s=1000,
)


def plan(*groups: Group, **changes) -> Plan:
    return Plan(groups=groups or (GROUP,), **{"time_out_s": TIME_OUT, **changes})


def two_groups() -> Plan:
    return plan(
        dataclasses.replace(GROUP, percent=10),
        dataclasses.replace(GROUP, name="wave-1", percent=90),
    )


def running(of: Plan, *counts: Counts, now: float = 0.0) -> Rollout:
    return engine.advance(of, engine.start(Rollout.of(of)), counts, now)


# The action


def test_an_action_goes_its_way():
    action = actions.offer(Action(), 1)
    assert (action.state, action.offered) == (ActionState.OFFERED, 1)
    action = actions.report(action, Report(execution="download"), 2)
    assert action.state is ActionState.RUNNING
    action = actions.report(action, Report(execution="closed", finished="success"), 3)
    assert (action.state, action.ended) == (ActionState.SUCCESS, 3)


@pytest.mark.parametrize(
    ("execution", "finished", "state"),
    [
        ("closed", "success", ActionState.SUCCESS),
        ("closed", "none", ActionState.SUCCESS),
        ("closed", "failure", ActionState.ERROR),
        ("canceled", "none", ActionState.CANCELED),
        ("rejected", "none", ActionState.RUNNING),
        ("proceeding", "none", ActionState.RUNNING),
        ("proceeding", "failure", ActionState.RUNNING),
        ("scheduled", "none", ActionState.RUNNING),
        ("downloaded", "none", ActionState.RUNNING),
    ],
)
def test_what_the_words_of_a_device_mean(execution, finished, state):
    said = Report(execution=execution, finished=finished)
    assert actions.report(actions.offer(Action(), 1), said, 2).state is state


def test_a_silent_device_times_out_and_its_late_word_counts():
    action = actions.offer(Action(), 10)
    assert actions.expire(action, 10 + TIME_OUT - 1, TIME_OUT) == action
    late = actions.expire(action, 10 + TIME_OUT, TIME_OUT)
    assert late.state is ActionState.TIMED_OUT
    assert actions.report(late, Report(execution="proceeding"), 200) == late
    done = actions.report(late, Report(execution="closed", finished="success"), 200)
    assert done.state is ActionState.SUCCESS


def test_an_action_that_was_not_shown_never_times_out():
    assert actions.expire(Action(), 1e12, TIME_OUT) == Action()


def test_a_closed_action_is_closed():
    closed = Report(execution="closed", finished="success")
    action = actions.report(actions.offer(Action(), 1), closed, 2)
    for said in (closed, Report(execution="closed", finished="failure")):
        with pytest.raises(ActionClosedError):
            actions.report(action, said, 3)


def test_a_device_cannot_report_of_what_it_was_not_shown():
    with pytest.raises(ActionUnknownError):
        actions.report(Action(), Report(execution="closed"), 1)


def test_a_cancellation_is_the_devices_to_grant():
    assert actions.ask_cancel(Action(), 1).state is ActionState.CANCELED
    asked = actions.ask_cancel(actions.offer(Action(), 1), 2)
    assert asked.state is ActionState.OFFERED
    canceled = actions.report_cancel(asked, Report(execution="closed", finished="success"), 3)
    assert canceled.state is ActionState.CANCELED
    failed = actions.report_cancel(asked, Report(execution="closed", finished="failure"), 3)
    assert failed.state is ActionState.ERROR
    goes_on = actions.report_cancel(asked, Report(execution="rejected"), 3)
    assert (goes_on.state, goes_on.cancel_asked) == (ActionState.OFFERED, False)
    assert actions.report_cancel(asked, Report(execution="canceled"), 3) == asked
    with pytest.raises(ActionUnknownError):
        actions.report_cancel(goes_on, Report(execution="closed"), 4)


def test_a_canceled_action_that_finishes_has_finished():
    asked = actions.ask_cancel(actions.offer(Action(), 1), 2)
    done = actions.report(asked, Report(execution="closed", finished="success"), 3)
    assert (done.state, done.cancel_asked) == (ActionState.SUCCESS, False)


# The rollout


def test_the_first_group_begins_at_the_start_and_the_next_when_it_is_done():
    of = two_groups()
    canary, wave = Counts(devices=10), Counts(devices=90)
    rollout = running(of, canary, wave, now=1)
    assert [group.begun for group in rollout.groups] == [1, None]
    canary = Counts(devices=10, success=7, in_flight=3)
    assert engine.advance(of, rollout, (canary, wave), 2) == rollout
    canary = Counts(devices=10, success=8, in_flight=2)
    moved = engine.advance(of, rollout, (canary, wave), 3)
    assert [(g.begun, g.done) for g in moved.groups] == [(1, 3), (3, None)]


def test_success_is_not_enough_before_the_sample_is_there():
    of = plan(dataclasses.replace(GROUP, success_threshold=0.1))
    rollout = running(of, Counts(devices=20))
    assert engine.advance(of, rollout, (Counts(devices=20, success=4),), 1).groups[0].done is None
    assert engine.advance(of, rollout, (Counts(devices=20, success=5),), 1).groups[0].done == 1


def test_failures_halt_before_the_sample_is_full_if_it_could_not_be_saved():
    of = plan()
    rollout = running(of, Counts(devices=20))
    assert engine.advance(of, rollout, (Counts(devices=20, error=1),), 1).state == "running"
    halted = engine.advance(of, rollout, (Counts(devices=20, error=2),), 1)
    assert halted.state is RolloutState.HALTED
    assert halted.reason.startswith("canary: 2 of 2 devices failed (2 errors, 0 time-outs")


def test_time_outs_halt_it_as_errors_do():
    of = plan()
    rollout = running(of, Counts(devices=20))
    halted = engine.advance(of, rollout, (Counts(devices=20, success=3, timed_out=2),), 1)
    assert halted.state is RolloutState.HALTED
    assert "2 time-outs" in halted.reason


def test_failures_in_a_group_that_is_done_halt_the_later_ones():
    of = two_groups()
    canary, wave = Counts(devices=10, success=8, in_flight=2), Counts(devices=90)
    rollout = running(of, canary, wave)
    assert rollout.groups[1].begun == 0
    canary = Counts(devices=10, success=7, error=3)
    assert engine.advance(of, rollout, (canary, wave), 1).state is RolloutState.HALTED


def test_no_more_than_the_exposure_is_touched_before_any_success():
    of = plan()
    rollout = running(of, Counts(devices=100))
    assert engine.allowance(of, rollout, 0, Counts(devices=100), 0) == 5
    assert engine.allowance(of, rollout, 0, Counts(devices=100, in_flight=5), 0) == 0
    assert engine.allowance(of, rollout, 0, Counts(devices=100, in_flight=2, error=3), 0) == 0
    assert engine.allowance(of, rollout, 0, Counts(devices=100, success=9, in_flight=2), 0) == 7
    assert engine.allowance(of, rollout, 0, Counts(devices=3, in_flight=2), 0) == 1


def test_nothing_is_touched_outside_the_window():
    of = plan(not_before=10, not_after=20)
    rollout = running(of, Counts(devices=9), now=5)
    assert rollout.groups[0].begun is None
    rollout = engine.advance(of, rollout, (Counts(devices=9),), 10)
    assert engine.allowance(of, rollout, 0, Counts(devices=9), 20) == 5
    assert engine.allowance(of, rollout, 0, Counts(devices=9), 20.1) == 0
    ends = engine.advance(of, rollout, (Counts(devices=9, success=2),), 21)
    assert (ends.state, ends.reason) == (
        RolloutState.FINISHED,
        "its window closed with 7 devices untouched",
    )


def test_an_empty_group_holds_up_nothing():
    of = two_groups()
    rollout = running(of, Counts(), Counts(devices=5))
    assert [group.begun for group in rollout.groups] == [0, 0]


def test_devices_that_do_not_poll_are_waited_for_in_patience_only():
    of = two_groups()
    canary, wave = Counts(devices=10, success=6), Counts(devices=90)
    rollout = running(of, canary, wave)
    assert rollout.groups[1].begun is None
    rollout = engine.advance(of, rollout, (canary, wave), 1000)
    assert rollout.groups[1].begun == 1000


def test_too_few_answers_are_no_proof_however_long_one_waits():
    of = two_groups()
    counts = Counts(devices=10, success=4), Counts(devices=90)
    rollout = engine.advance(of, running(of, *counts), counts, 1e9)
    assert (rollout.state, rollout.groups[1].begun) == (RolloutState.RUNNING, None)


def test_a_group_that_cannot_be_done_any_more_halts():
    of = plan(dataclasses.replace(GROUP, success_threshold=0.95))
    halted = running(of, Counts(devices=20, success=18, error=2))
    assert halted.state is RolloutState.HALTED
    assert "18 of 20 devices succeeded (90%), under the threshold of 95%" in halted.reason


def test_failures_that_use_up_the_exposure_halt_instead_of_waiting_for_ever():
    of = plan(dataclasses.replace(GROUP, exposure=1, ramp=0.0))
    halted = running(of, Counts(devices=20, success=3, error=1))
    assert halted.state is RolloutState.HALTED
    assert "exposure of 1" in halted.reason


def test_it_is_finished_when_the_last_device_decided():
    of = plan()
    counts = Counts(devices=10, success=9, in_flight=1)
    rollout = running(of, counts)
    assert rollout.state is RolloutState.RUNNING
    done = engine.advance(of, rollout, (Counts(devices=10, success=9, error=1),), 5)
    assert (done.state, done.reason) == (RolloutState.FINISHED, "")


def test_late_joiners_get_it_and_their_failures_count():
    of = plan()
    rollout = running(of, Counts(devices=10, success=10))
    joined = Counts(devices=14, success=10)
    assert engine.allowance(of, rollout, 0, joined, 5) == 4
    assert engine.allowance(plan(late_joiners="leave"), rollout, 0, joined, 5) == 0
    failed = Counts(devices=14, success=10, error=4)
    assert engine.advance(of, rollout, (failed,), 6).state is RolloutState.HALTED


def test_going_on_after_a_halt_pardons_what_failed():
    of = plan()
    failed = (Counts(devices=20, error=2),)
    halted = running(of, *failed)
    again = engine.advance(of, engine.resume(halted, failed), failed, 1)
    assert again.state is RolloutState.RUNNING
    assert engine.allowance(of, again, 0, failed[0], 1) == 5
    more = Counts(devices=20, error=4)
    assert engine.advance(of, again, (more,), 2).state is RolloutState.HALTED


def test_a_paused_rollout_touches_nobody_and_decides_nothing():
    of = plan()
    paused = engine.pause(running(of, Counts(devices=20)), "by anna")
    assert engine.allowance(of, paused, 0, Counts(devices=20), 1) == 0
    assert engine.advance(of, paused, (Counts(devices=20, error=9),), 1) == paused
    resumed = engine.resume(paused, (Counts(devices=20, error=9),))
    assert engine.advance(of, resumed, (Counts(devices=20, error=9),), 1).state == "halted"


def test_what_cannot_be_asked_of_a_rollout_is_refused():
    ready = Rollout.of(plan())
    with pytest.raises(RolloutError, match="cannot pause a rollout that is ready"):
        engine.pause(ready, "")
    with pytest.raises(RolloutError, match="it must be paused or halted"):
        engine.resume(ready, ())
    aborted = engine.abort(ready, "")
    for asked in (engine.start, lambda r: engine.abort(r, "")):
        with pytest.raises(RolloutError):
            asked(aborted)
    assert engine.halt(aborted, "gate") == aborted


# Plans and membership


def test_a_plan_survives_json():
    of = plan(*waves(dataclasses.replace(GROUP, percent=1), (10, 100)), target="region=eu-*")
    assert decode(json.loads(json.dumps(encode(of)))) == of
    assert [group.percent for group in of.groups] == [1, 9, 90]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "plan: give an object"),
        ({}, "groups: a plan needs it"),
        ({"groups": []}, "groups: give 1 to 50"),
        ({"groups": [{"name": "a"}]}, "takes no device"),
        ({"groups": [{"name": "a", "percent": 101}]}, "percent: give 0 to 100"),
        ({"groups": [{"name": "a", "percent": "9"}]}, "percent: give a number"),
        ({"groups": [{"name": "a", "percent": float("nan")}]}, "percent: give 0 to 100"),
        ({"groups": [{"name": "a", "percent": 1, "minimum_sample": True}]}, "whole number"),
        ({"groups": [{"name": "a", "percent": 1, "colour": 1}]}, "colour: unknown"),
        ({"groups": [{"name": "a", "percent": 60}, {"name": "b", "percent": 60}]}, "add up"),
        ({"groups": [{"name": "a", "percent": 6}, {"name": "a", "percent": 6}]}, "of its own"),
        ({"groups": [{"name": "a", "matches": "x"}]}, "NAME=PATTERN"),
        ({"groups": [{"name": "a", "percent": 1}], "late_joiners": "no"}, "take or leave"),
        ({"groups": [{"name": "a", "percent": 1}], "not_before": 5, "not_after": 4}, "follow"),
    ],
)
def test_a_wrong_plan_is_refused_by_field(value, said):
    with pytest.raises(PlanError, match=said):
        decode(value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["groups", "name", "percent", "devices", "target", "not_after", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_a_plan_or_refused(value):
    with contextlib.suppress(PlanError):
        assert isinstance(decode(value), Plan)


def test_waves_must_rise():
    with pytest.raises(PlanError, match="must lie above 10"):
        waves(dataclasses.replace(GROUP, percent=10), (10, 100))


@pytest.mark.parametrize(
    ("words", "canary", "shares"),
    [
        (["10", "25", "100"], 1.0, (10, 25, 100)),
        (["x4"], 1.0, (4, 16, 64, 100)),
        (["x10"], 1.0, (10, 100)),
        (["x10"], 0.0, (1, 10, 100)),
        (["x2"], 60.0, (100,)),
        ([], 100.0, ()),
    ],
)
def test_waves_may_be_written_out_or_grow(words, canary, shares):
    assert parse_shares(words, canary) == shares
    waves(dataclasses.replace(GROUP, percent=canary, devices=("lab-1",)), shares)


@pytest.mark.parametrize("words", [["x1"], ["x"], ["xnan"], ["ten"], ["x4", "100"]])
def test_waves_that_are_none_are_refused(words):
    with pytest.raises(PlanError, match="waves: "):
        parse_shares(words, 1.0)


def test_each_device_is_in_one_group_and_shares_are_kept():
    of = plan(
        dataclasses.replace(GROUP, percent=5, devices=("bench-1",)),
        dataclasses.replace(GROUP, name="labs", percent=0, matches="site=lab"),
        dataclasses.replace(GROUP, name="wave", percent=95),
        target="hardware!=old",
    )
    membership = Membership(of, "salt")
    found = [membership.group_of(f"d{n}", {"hardware": "new"}) for n in range(4000)]
    assert 120 < found.count(0) < 280
    assert found.count(2) == 4000 - found.count(0)
    assert membership.group_of("bench-1", {"hardware": "old"}) == 0
    assert membership.group_of("d1", {"site": "lab", "hardware": "new"}) == 1
    assert membership.group_of("d1", {"hardware": "old"}) is None
    other = Membership(of, "pepper")
    assert [other.group_of(f"d{n}", {"hardware": "new"}) for n in range(4000)] != found


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("id=cam-*", True),
        ("hardware=pi-4 region=eu-*", True),
        ("hardware=pi-4 region=us-*", False),
        ("hardware!=pi-3", True),
        ("colour=red", False),
        ("colour!=red", True),
        ("region=*-west", True),
        ("region=[a-z]*", False),
    ],
)
def test_filters(text, holds):
    assert Filter.parse(text).holds("cam-7", {"hardware": "pi-4", "region": "eu-west"}) is holds


# All of it together


class Fleet(RuleBasedStateMachine):
    """Devices that poll, report, repeat themselves, fall silent and come late, and a person who meddles."""

    @initialize(
        sizes=st.lists(st.integers(0, 5), min_size=1, max_size=3),
        error=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        success=st.sampled_from([0.0, 0.5, 1.0]),
        sample=st.integers(1, 4),
        exposure=st.integers(1, 4),
        ramp=st.sampled_from([0.0, 1.0, 2.0]),
        bake=st.sampled_from([0.0, 200.0]),
        window=st.sampled_from([(0.0, None), (60.0, None), (0.0, 700.0), (60.0, 61.0)]),
    )
    def begin(self, sizes, error, success, sample, exposure, ramp, bake, window):
        self.now = 0.0
        self.plan = plan(
            *(
                Group(
                    name=str(index),
                    percent=1,
                    error_threshold=error,
                    success_threshold=success,
                    minimum_sample=sample,
                    exposure=exposure,
                    ramp=ramp,
                    patience_s=500,
                    bake_s=bake,
                )
                for index in range(len(sizes))
            ),
            not_before=window[0],
            not_after=window[1],
        )
        self.devices = [(index, Action()) for index, size in enumerate(sizes) for _ in range(size)]
        self.rollout = engine.start(Rollout.of(self.plan))
        self.said: list[tuple[int, Report]] = []
        self.settle()

    def counts(self) -> list[Counts]:
        def count(index: int) -> Counts:
            mine = [action for group, action in self.devices if group == index]
            by = [action.state for action in mine]
            canceled = [a for a in mine if a.state is ActionState.CANCELED]
            return Counts(
                devices=len(mine),
                in_flight=sum(state in IN_FLIGHT for state in by),
                success=by.count(ActionState.SUCCESS),
                error=by.count(ActionState.ERROR),
                timed_out=by.count(ActionState.TIMED_OUT),
                canceled=len(canceled),
                canceled_touched=sum(a.offered is not None for a in canceled),
            )

        return [count(index) for index in range(len(self.plan.groups))]

    def settle(self) -> None:
        counts, before = self.counts(), self.rollout.groups
        self.rollout = engine.advance(self.plan, self.rollout, counts, self.now)
        for group, count, old, new in zip(
            self.plan.groups, counts, before, self.rollout.groups, strict=True
        ):
            if count.devices and old.done is None and new.done is not None:
                assert self.now >= new.begun + group.bake_s
        again = engine.advance(self.plan, self.rollout, counts, self.now)
        assert again == self.rollout

    def change(self, device: int, action: Action) -> None:
        group, before = self.devices[device]
        if before.state in FINAL:
            assert action == before
        self.devices[device] = group, action
        self.settle()

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def poll(self, data):
        device = data.draw(st.integers(0, len(self.devices) - 1))
        group, action = self.devices[device]
        if action.state is not ActionState.SCHEDULED:
            return
        before = self.counts()[group]
        if engine.allowance(self.plan, self.rollout, group, before, self.now):
            assert self.rollout.state in (RolloutState.RUNNING, RolloutState.FINISHED)
            assert all(g.done is not None for g in self.rollout.groups[:group])
            assert self.plan.not_before <= self.now <= (self.plan.not_after or self.now)
            self.change(device, actions.offer(action, self.now))
            after = self.counts()[group]
            assert after.touched == before.touched + 1
            limit = max(
                self.plan.groups[group].exposure, self.plan.groups[group].ramp * after.success
            )
            pardoned = self.rollout.groups[group].pardoned
            assert after.in_flight + after.failed - pardoned <= limit

    @precondition(lambda self: self.devices)
    @rule(
        data=st.data(),
        execution=st.sampled_from(["closed", "closed", "proceeding", "canceled", "rejected"]),
        finished=st.sampled_from(["success", "failure"]),
    )
    def report(self, data, execution, finished):
        device = data.draw(st.integers(0, len(self.devices) - 1))
        self.say(device, Report(execution=execution, finished=finished))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def repeat(self, data):
        self.say(*data.draw(st.sampled_from(self.said)))

    def say(self, device: int, said: Report) -> None:
        action = self.devices[device][1]
        try:
            self.change(device, actions.report(action, said, self.now))
        except ActionClosedError:
            assert action.state in FINAL
        except ActionUnknownError:
            assert action.offered is None
        else:
            self.said.append((device, said))

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), execution=st.sampled_from(["closed", "rejected", "canceled"]))
    def answer_cancel(self, data, execution):
        device = data.draw(st.integers(0, len(self.devices) - 1))
        action = self.devices[device][1]
        try:
            moved = actions.report_cancel(action, Report(execution=execution), self.now)
        except (ActionClosedError, ActionUnknownError):
            assert not action.cancel_asked or action.state in FINAL
        else:
            self.change(device, moved)

    @rule(seconds=st.sampled_from([1.0, 30.0, TIME_OUT, 600.0]))
    def wait(self, seconds):
        self.now += seconds
        for device, (_, action) in enumerate(self.devices):
            self.change(device, actions.expire(action, self.now, TIME_OUT))

    @rule(data=st.data())
    def join(self, data):
        if len(self.devices) < 20:
            group = data.draw(st.integers(0, len(self.plan.groups) - 1))
            self.devices.append((group, Action()))
            self.settle()

    @precondition(lambda self: self.rollout.state is RolloutState.RUNNING)
    @rule()
    def pause(self):
        self.rollout = engine.pause(self.rollout, "a person")

    @precondition(lambda self: self.rollout.state in (RolloutState.PAUSED, RolloutState.HALTED))
    @rule()
    def resume(self):
        self.rollout = engine.resume(self.rollout, self.counts())
        self.settle()

    @rule(chance=st.integers(0, 9))
    def abort(self, chance):
        over = (RolloutState.FINISHED, RolloutState.ABORTED)
        if chance or self.rollout.state in over:
            return
        self.rollout = engine.abort(self.rollout, "a person")
        for device, (_, action) in enumerate(self.devices):
            self.change(device, actions.ask_cancel(action, self.now))
        assert all(action.state is not ActionState.SCHEDULED for _, action in self.devices)

    @invariant()
    def every_device_is_counted_once(self):
        for count in self.counts():
            assert count.untouched >= 0
            assert count.touched + count.untouched == count.devices - (
                count.canceled - count.canceled_touched
            )

    @invariant()
    def what_does_not_run_touches_nobody(self):
        if self.rollout.state in (RolloutState.RUNNING, RolloutState.FINISHED):
            return
        for index, count in enumerate(self.counts()):
            assert engine.allowance(self.plan, self.rollout, index, count, self.now) == 0

    @invariant()
    def groups_begin_in_turn(self):
        groups = self.rollout.groups
        for before, state in itertools.pairwise(groups):
            if state.begun is not None:
                assert before.done is not None
                assert before.done <= state.begun

    @invariant()
    def a_halt_says_why(self):
        assert self.rollout.state is not RolloutState.HALTED or self.rollout.reason

    def teardown(self):
        """Left alone, with devices that answer, it comes to an end: nothing is stuck."""
        if not hasattr(self, "rollout") or self.rollout.state is not RolloutState.RUNNING:
            return
        for _ in range(200):
            for device, (group, action) in enumerate(self.devices):
                if action.state in FINAL or action.state is ActionState.TIMED_OUT:
                    continue
                if action.state is ActionState.SCHEDULED:
                    count = self.counts()[group]
                    if not engine.allowance(self.plan, self.rollout, group, count, self.now):
                        continue
                    self.change(device, actions.offer(action, self.now))
                if self.devices[device][1].state in IN_FLIGHT:
                    self.say(device, Report(execution="closed", finished="success"))
            self.now += 50
            self.settle()
            if self.rollout.state is not RolloutState.RUNNING:
                return
        raise AssertionError(f"stuck: {self.rollout} {self.counts()}")


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=120, stateful_step_count=40)

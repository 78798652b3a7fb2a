"""A fleet through its rollouts, in a real database of each kind."""

from __future__ import annotations

import dataclasses
import threading
import tracemalloc

import pytest
import sqlalchemy as sa

from fleet.control import actions, audit, devices, handover, releases, rollouts, tenants
from fleet.control.actions import MAX_REPORTS
from fleet.control.curves import curve
from fleet.control.enrolment import join
from fleet.control.preparation import Preparation, Stage, prepare_resume, prepare_start
from fleet.rollout.action import Report
from fleet.rollout.errors import ActionClosedError, ActionUnknownError, RolloutError
from fleet.rollout.plan import Group, Plan
from fleet.store.errors import ConflictError, NotFoundError
from fleet.store.schema import Device
from tests.fixtures.small_fleet import CANARY

ALL = dataclasses.replace(CANARY, percent=100, exposure=100)


def summary(status):
    return [(g["name"], g["state"], g["touched"], g["success"]) for g in status["groups"]]


def test_a_good_release_goes_from_the_canary_to_everybody(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(40)
    rollout = fleet.start(fleet.release("1.0.0"))
    canary, wave = fleet.status(rollout)["groups"]
    assert canary["devices"] + wave["devices"] == 40
    assert fleet.poll(ids[0]) == fleet.poll(ids[0])
    while fleet.go_round(ids):
        pass
    status = fleet.status(rollout)
    assert (status["state"], status["reason"]) == ("finished", "")
    assert [g["success"] for g in status["groups"]] == [canary["devices"], wave["devices"]]
    assert all(len(fleet.actions(device, "success")) == 1 for device in ids)


def test_a_bad_release_touches_the_exposure_and_nobody_else(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(60)
    rollout = fleet.start(fleet.release("1.0.0"), dataclasses.replace(CANARY, percent=100))
    assert [fleet.poll(device) is not None for device in ids].count(True) == CANARY.exposure
    fleet.go_round(ids, "failure")
    status = fleet.status(rollout)
    assert status["state"] == "halted"
    assert "canary: 4 of 4 devices failed" in status["reason"]
    assert status["groups"][0]["touched"] == CANARY.exposure
    assert fleet.go_round(ids) == 0


def test_silence_halts_and_a_late_word_counts(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(10)
    rollout = fleet.start(fleet.release("1.0.0"), ALL)
    shown = {device: fleet.poll(device) for device in ids}
    fleet.tick(99)
    assert fleet.status(rollout)["state"] == "running"
    fleet.tick(1)
    status = fleet.status(rollout)
    assert (status["state"], status["groups"][0]["timed_out"]) == ("halted", 10)
    fleet.report(ids[0], shown[ids[0]], "closed", "success")
    group = fleet.status(rollout)["groups"][0]
    assert (group["timed_out"], group["success"]) == (9, 1)


def test_reports_that_repeat_or_come_too_late_change_nothing(any_fleet):
    fleet = any_fleet
    device, other = fleet.add_devices(2)
    rollout = fleet.start(fleet.release("1.0.0"), ALL)
    action = fleet.poll(device)
    for _ in range(3):
        fleet.report(device, action, "proceeding")
    with pytest.raises(ActionUnknownError):
        fleet.report(other, action, "closed", "failure")
    fleet.report(device, action, "closed", "success")
    for finished in ("success", "failure"):
        with pytest.raises(ActionClosedError):
            fleet.report(device, action, "closed", finished)
    group = fleet.status(rollout)["groups"][0]
    assert (group["success"], group["error"]) == (1, 0)
    with fleet.database.read() as connection:
        (told,) = devices.history(connection, device)
    assert [r["execution"] for r in told["reports"]] == ["proceeding", "closed"]


def test_a_huge_history_is_bounded_and_its_end_is_kept(small_fleet):
    (device,) = small_fleet.add_devices(1)
    small_fleet.start(small_fleet.release("1.0.0"), ALL)
    action = small_fleet.poll(device)
    with small_fleet.standings() as standings:
        for number in range(MAX_REPORTS + 20):
            said = Report(execution="proceeding")
            actions.report(standings, device, action, said, None, [f"{number}%"])
        said = Report(execution="closed", finished="success")
        actions.report(standings, device, action, said, 0, ["done"])
    with small_fleet.database.read() as connection:
        (told,) = devices.history(connection, device)
    assert len(told["reports"]) == MAX_REPORTS + 1
    assert told["reports"][-1]["details"] == ["done"]


def test_an_abort_withdraws_what_was_not_shown_and_asks_the_rest_to_cancel(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(10)
    rollout = fleet.start(fleet.release("1.0.0"), dataclasses.replace(CANARY, percent=100))
    shown = {device: fleet.poll(device) for device in ids[:3]}
    with fleet.standings() as standings:
        rollouts.abort(standings, fleet.tenant.id, "anna", rollout)
    status = fleet.status(rollout)
    assert (status["state"], status["reason"]) == ("aborted", "aborted by anna")
    assert status["groups"][0]["canceled"] == 7
    assert [fleet.poll(device) for device in ids[3:]] == [None] * 7
    assert all(fleet.actions(device)[0].cancel_asked for device in shown)
    first, second, third = shown
    with fleet.standings() as standings:
        done = Report(execution="closed", finished="success")
        actions.report_cancel(standings, first, shown[first], done, None, ())
    fleet.report(second, shown[second], "closed", "success")  # it had finished already
    fleet.tick(100)
    states = [fleet.actions(device)[0].state for device in (first, second, third)]
    assert states == ["canceled", "success", "timed_out"]


def test_pause_holds_and_resume_takes_in_who_came_meanwhile(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(4)
    rollout = fleet.start(fleet.release("1.0.0"), ALL)
    with fleet.standings() as standings:
        rollouts.pause(standings, fleet.tenant.id, "anna", rollout, "lunch")
    assert fleet.go_round(ids) == 0
    assert fleet.status(rollout)["reason"] == "lunch"
    ids += fleet.add_devices(3, "late")
    with fleet.standings() as standings:
        rollouts.resume(standings, fleet.tenant.id, "anna", rollout)
    assert fleet.go_round(ids) == 7
    assert fleet.status(rollout)["state"] == "finished"


def test_a_late_joiner_gets_the_newest_release_and_not_the_past(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(3)
    for version in ("1.0.0", "1.1.0"):
        rollout = fleet.start(fleet.release(version), ALL)
        fleet.go_round(ids)
    (late,) = fleet.add_devices(1, "late")
    action = fleet.poll(late)
    assert fleet.actions(late)[0].rollout_id == rollout
    fleet.report(late, action, "closed", "success")
    assert fleet.poll(late) is None
    assert fleet.status(rollout)["groups"][0]["success"] == 4


def test_a_newer_rollout_supersedes_what_the_older_had_not_shown(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(6)
    old = fleet.start(fleet.release("1.0.0"), dataclasses.replace(ALL, exposure=2))
    at_work = fleet.poll(ids[0])
    timed_out = fleet.poll(ids[1])
    other = fleet.start(fleet.release("1.0.0", "other"), ALL)
    new = fleet.start(fleet.release("1.1.0"), ALL)
    assert fleet.status(old)["groups"][0]["canceled"] == 4
    assert fleet.status(other)["groups"][0]["canceled"] == 0
    assert fleet.poll(ids[0]) == at_work
    fleet.report(ids[0], at_work, "closed", "success")
    fleet.now += 100
    fleet.tick()
    states = {a.id: (a.state, a.superseded) for a in fleet.actions(ids[1])}
    assert states[timed_out] == ("timed_out", True)
    while fleet.go_round(ids):
        pass
    assert fleet.status(new)["groups"][0]["success"] == 6
    assert fleet.status(other)["groups"][0]["success"] == 6


def test_a_roll_back_brings_those_who_were_touched_to_the_chosen_version(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(30)
    good = fleet.release("1.0.0")
    fleet.start(good, ALL)
    fleet.go_round(ids)
    canary = dataclasses.replace(CANARY, percent=0, devices=tuple(f"device-{n}" for n in range(6)))
    rest = dataclasses.replace(CANARY, name="rest", percent=100)
    bad = fleet.start(fleet.release("1.1.0"), canary, rest)
    assert fleet.go_round(ids[:6]) + fleet.go_round(ids[:6]) == 6
    assert fleet.go_round(ids[6:8]) == 2
    with pytest.raises(NotFoundError, match="canary, rest"):
        fleet.roll_back(bad, good, "none")
    back = fleet.roll_back(bad, good, "canary")
    assert fleet.status(bad)["state"] == "running"
    assert fleet.status(back)["groups"][0]["devices"] == 6
    back = fleet.roll_back(bad, good)
    assert fleet.status(bad)["state"] == "aborted"
    assert fleet.status(back)["groups"][0]["devices"] == 8
    assert fleet.go_round(ids) == 8
    assert fleet.status(back)["state"] == "finished"
    with fleet.database.read() as connection:
        told = devices.listing(connection, fleet.tenant.id, limit=100)
    assert {d["installed"]["version"] for d in told} == {"1.0.0"}


@pytest.mark.parametrize("waited", [0.0, 60.0], ids=["at work", "timed out"])
def test_a_roll_back_reaches_devices_that_finish_what_they_were_asked_to_cancel(any_fleet, waited):
    fleet = any_fleet
    ids = fleet.add_devices(4)
    good = fleet.release("1.0.0")
    fleet.start(good, ALL)
    fleet.go_round(ids)
    bad = fleet.start(fleet.release("1.1.0"), ALL, time_out_s=50.0)
    shown = [fleet.poll(device) for device in ids[:2]]
    fleet.tick(waited)
    back = fleet.roll_back(bad, good)
    assert fleet.status(back)["groups"][0]["devices"] == 2
    for device, action in zip(ids, shown, strict=False):
        fleet.report(device, action, "closed", "success")
    assert fleet.go_round(ids) == 2
    assert fleet.status(back)["state"] == "finished"
    with fleet.database.read() as connection:
        told = devices.listing(connection, fleet.tenant.id, limit=100)
    assert [d["installed"]["version"] for d in told] == ["1.0.0"] * 4


def test_devices_that_run_it_or_cannot_are_left_out(any_fleet):
    fleet = any_fleet
    old = fleet.add_devices(2, "old", agent="0.9", litert="2.0.0")
    new = fleet.add_devices(2, "new", agent="1.0", litert="2.0.0")
    fleet.add_devices(2, "mute")
    release = fleet.release("1.0.0")
    with fleet.database.write() as connection:
        table = releases.Release
        needs = {"agent": "1.0.0", "litert": "1.4", "tflite_runtime": "2.14"}
        connection.execute(table.__table__.update().values(minimum=needs))
    rollout = fleet.start(release, ALL)
    assert fleet.status(rollout)["groups"][0]["devices"] == 2
    assert fleet.go_round(new) == 2
    with fleet.standings() as standings:
        connection = standings.connection
        devices.set_attributes(connection, old[0], {"agent": "1.1"}, "merge")
        join(standings, devices.find(connection, fleet.tenant.id, "old-0"))
    assert fleet.go_round(old) == 1
    with pytest.raises(RolloutError, match="no device is in its first group"):
        fleet.start(release, dataclasses.replace(ALL, percent=0, devices=("new-0",)))


@pytest.mark.parametrize(
    ("told", "may"),
    [
        ({}, False),
        ({"agent": "1.2"}, False),
        ({"agent": "1.2", "litert": "1.4.0"}, True),
        ({"agent": "1.2", "litert": "1.3", "tflite_runtime": "2.14.0rc1"}, True),
        ({"agent": "1.1.9", "litert": "1.4.0"}, False),
        ({"agent": "junk", "litert": "1.4.0"}, False),
    ],
)
def test_who_meets_a_minimum(told, may):
    least = {"agent": "1.2.0", "litert": "1.4.0", "tflite_runtime": "2.14"}
    assert devices.eligible(least, told) is may
    assert devices.eligible({}, told)


def test_consent_is_asked_for_and_given(any_fleet):
    fleet = any_fleet
    first, second = fleet.add_devices(2)
    fleet.start(fleet.release("1.0.0"), ALL)
    with fleet.database.write() as connection:
        tenants.change(connection, fleet.now, "anna", "default", confirmation=True)
        fleet.tenant = tenants.find(connection, "default")
    action = fleet.poll(first)
    with pytest.raises(ActionUnknownError, match="consent"):
        fleet.report(first, action, "closed", "success")
    with fleet.standings() as standings:
        actions.confirm(standings, first, action, "denied", None, ["not now"])
        actions.confirm(standings, first, action, "confirmed", None, [])
        with pytest.raises(ActionUnknownError):
            actions.confirm(standings, first, action, "confirmed", None, [])
        actions.auto_confirm(standings, second, "anna")
    fleet.report(first, action, "closed", "success")
    fleet.report(second, fleet.poll(second), "closed", "success")


def test_attributes_merge_replace_and_go(small_fleet):
    (device,) = small_fleet.add_devices(1, a="1", b="2")

    def told(given, mode):
        with small_fleet.database.write() as connection:
            devices.set_attributes(connection, device, given, mode)
            return devices.find(connection, small_fleet.tenant.id, "device-0").attributes

    assert told({"b": "3", "c": "4"}, "merge") == {"a": "1", "b": "3", "c": "4"}
    assert told({"b": "", "x": ""}, "remove") == {"a": "1", "c": "4"}
    assert told({"z": "1"}, "replace") == {"z": "1"}
    with pytest.raises(ConflictError, match="more than 200"):
        told({str(n): "" for n in range(10_000)}, "merge")
    with pytest.raises(ConflictError, match="at most"):
        told({"a": "x" * 1025}, "merge")


@pytest.mark.parametrize(
    ("matches", "found"),
    [
        ("hardware=pi-4", ["a-0", "a-1"]),
        ("hardware=pi*", ["a-0", "a-1", "b-0", "c-0"]),
        ("hardware=PI*", []),
        ("hardware!=pi*", ["d-0", "e-0"]),
        ("id=a-* hardware=*", ["a-0", "a-1"]),
        ("note=100%_\\*", ["c-0"]),
        ("hardware=PI-5*", []),
        ("", ["a-0", "a-1", "b-0", "c-0", "d-0", "e-0"]),
    ],
)
def test_devices_are_found_by_what_they_say(any_fleet, matches, found):
    any_fleet.add_devices(2, "a", hardware="pi-4")
    any_fleet.add_devices(1, "b", hardware="pi-5", note="100 percent")
    any_fleet.add_devices(1, "c", hardware="pi_5", note="100%_\\x")
    any_fleet.add_devices(1, "d", hardware="cam")
    any_fleet.add_devices(1, "e")
    with any_fleet.database.read() as connection:
        given = (connection, any_fleet.tenant.id)
        assert [d["id"] for d in devices.listing(*given, matches=matches)] == found
        pages = [
            devices.listing(*given, after=after, limit=1, matches=matches)
            for after in ("", *found[:-1])
        ]
    assert [d["id"] for page in pages for d in page] == found


def test_a_curve_tells_who_was_touched_and_what_came_of_it_when(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(4)
    rollout = fleet.start(fleet.release("1.0.0"), dataclasses.replace(ALL, error_threshold=1.0))
    with fleet.database.read() as connection:
        assert curve(connection, rollout) is None
    shown = [fleet.poll(device) for device in ids[:2]]
    fleet.tick(50.0)
    fleet.report(ids[0], shown[0], "closed", "success")
    shown.append(fleet.poll(ids[2]))
    fleet.tick(50.0)
    fleet.report(ids[2], shown[2], "closed", "failure")
    with fleet.database.read() as connection:
        went = curve(connection, rollout)
    assert (went.begin, went.end) == (1000.0, 1100.0)
    assert (went.touched[0], went.touched[-1]) == (2, 3)
    middle = len(went.success) // 2
    assert [went.success[i] for i in (0, middle - 2, middle + 1, -1)] == [0, 0, 1, 1]
    assert [went.failed[i] for i in (0, middle, -1)] == [0, 0, 2]  # one reported, one timed out


def test_rollouts_of_another_tenant_are_not_there(small_fleet):
    small_fleet.add_devices(1)
    rollout = small_fleet.start(small_fleet.release("1.0.0"), ALL)
    with small_fleet.standings() as standings:
        for number in (rollout, 0, 2**70):
            with pytest.raises(NotFoundError):
                rollouts.pause(standings, small_fleet.tenant.id + 1, "eve", number)


def test_two_workers_do_not_give_the_last_place_twice(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(24)
    group = Group(name="all", percent=100, exposure=7, minimum_sample=24, error_threshold=1)
    rollout = fleet.start(fleet.release("1.0.0"), group)
    workers = [
        threading.Thread(target=lambda mine: [fleet.poll(d) for d in mine], args=(ids[n::3],))
        for n in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert fleet.status(rollout)["groups"][0]["touched"] == 7


def test_a_rollout_takes_in_its_devices_in_pieces(any_fleet, monkeypatch):
    """What a million devices say of themselves is not held at once, and nobody is taken twice or left out."""
    monkeypatch.setattr("fleet.control.enrolment._BATCH", 100)
    said = {f"attribute-{n}": "x" * 1000 for n in range(5)}
    common = {"tenant_id": any_fleet.tenant.id, "created": 1.0, "attributes": said, "asked": False}
    with any_fleet.database.write() as connection:
        rows = [{"name": f"device-{n}", **common} for n in range(3000)]
        connection.execute(sa.insert(Device), rows)
    release = any_fleet.release("1.0.0")
    tracemalloc.start()
    try:
        rollout = any_fleet.start(release)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6e6, "all of it is 15 MB"
    assert sum(group["devices"] for group in any_fleet.status(rollout)["groups"]) == 3000


def create(fleet, version, *groups):
    release = fleet.release(version)
    with fleet.standings() as standings:
        return rollouts.create(standings, fleet.tenant.id, "test", release, Plan(groups=groups))


def prepare(fleet, rollout, pieces, piece=prepare_start):
    """What so many pieces of its start have reached."""
    reached = Preparation()
    while pieces and reached.stage is not Stage.DONE:
        with fleet.standings() as standings:
            reached = piece(standings, fleet.tenant.id, "test", rollout, reached)
        pieces -= 1
    return reached


def test_a_start_in_pieces_may_be_interrupted(any_fleet, monkeypatch):
    """Nobody is shown anything before it is whole, and what devices told meanwhile counts."""
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    fleet = any_fleet
    ids = fleet.add_devices(10, ring="b")
    older = fleet.start(fleet.release("1.0.0"), dataclasses.replace(ALL, exposure=1))
    rings = [dataclasses.replace(ALL, name=r, percent=0, matches=f"ring={r}") for r in "ab"]
    newer = create(fleet, "1.1.0", dataclasses.replace(rings[1], name="first"), *rings)
    prepare(fleet, newer, 2)
    assert "a start by test began" in fleet.status(newer)["reason"]
    assert [len(fleet.actions(device)) for device in ids] == [2] * 6 + [1] * 4
    with fleet.database.write() as connection:
        for device in ids[:4]:
            devices.set_attributes(connection, device, {"ring": "a"}, "merge")
    shown = [fleet.actions(device, "offered") for device in ids if fleet.poll(device)]
    assert [action.rollout_id for (action,) in shown] == [older]
    reached = prepare(fleet, newer, 30)
    assert fleet.status(older)["groups"][0]["canceled"] == 9
    assert not [device for device in ids[1:] if fleet.poll(device)]
    with fleet.standings() as standings:
        rollouts.start(standings, fleet.tenant.id, "test", newer, reached)
    assert [group["devices"] for group in fleet.status(newer)["groups"]] == [6, 4, 0]
    assert not fleet.status(newer)["reason"]


def test_of_two_starts_at_once_the_later_one_goes_on(any_fleet, monkeypatch):
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    fleet = any_fleet
    fleet.add_devices(10)
    rollout = create(fleet, "1.0.0", dataclasses.replace(ALL, percent=0, devices=("device-0",)))

    def piece(who, reached):
        with fleet.standings() as standings:
            return prepare_start(standings, fleet.tenant.id, who, rollout, reached)

    first = piece("anna", Preparation())
    second = piece("ben", Preparation())
    with pytest.raises(RolloutError, match="somebody else began that since: a start by ben"):
        piece("anna", first)
    while second.stage is not Stage.DONE:
        second = piece("ben", second)
    with (
        pytest.raises(RolloutError, match="somebody else began that since"),
        fleet.standings() as standings,
    ):
        rollouts.start(standings, fleet.tenant.id, "anna", rollout, first)
    with fleet.standings() as standings:
        begun = rollouts.start(standings, fleet.tenant.id, "ben", rollout, second)
    assert begun.counts[0].devices == 1


@pytest.mark.parametrize("late_joiners", ["take", "leave"])
def test_devices_that_come_or_tell_of_themselves_while_a_rollout_starts_are_its_own(
    any_fleet, monkeypatch, late_joiners
):
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    fleet = any_fleet
    theirs = fleet.add_devices(1, "first", ring="a")[0]
    fleet.add_devices(7, "other", ring="b")
    release, plan = (
        fleet.release("1.0.0"),
        Plan(groups=(ALL,), target="ring=a", late_joiners=late_joiners),
    )
    with fleet.standings() as standings:
        rollout = rollouts.create(standings, fleet.tenant.id, "test", release, plan)
    reached = prepare(fleet, rollout, 30)
    looked_at, new = fleet.add_devices(1, "other", ring="a")[0], fleet.add_devices(1, ring="a")[0]
    assert looked_at < new
    with fleet.standings() as standings:
        rollouts.start(standings, fleet.tenant.id, "test", rollout, reached)
    has = [device for device in range(theirs, new + 1) if fleet.actions(device)]
    assert has == [theirs, looked_at, new]


def test_a_device_that_changes_hands_while_a_rollout_starts_is_one_that_comes(
    any_fleet, monkeypatch
):
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    fleet = any_fleet
    fleet.add_devices(6)
    rollout = create(fleet, "1.0.0", ALL)
    prepare(fleet, rollout, 1)
    with fleet.standings() as standings:
        for name in ("device-0", "device-1"):
            handover.replace(standings, fleet.tenant.id, "anna", name)
        handover.revoke(standings, fleet.tenant.id, "anna", "device-2")
    reached = prepare(fleet, rollout, 30)  # though the start before was interrupted
    with fleet.standings() as standings:
        handover.replace(standings, fleet.tenant.id, "anna", "device-3")
    with fleet.standings() as standings:
        join(standings, devices.find(standings.connection, fleet.tenant.id, "device-3"))
    with fleet.standings() as standings:
        rollouts.start(standings, fleet.tenant.id, "test", rollout, reached)
    (group,) = fleet.status(rollout)["groups"]
    assert (group["devices"], group["canceled"]) == (5, 0), "all but the one that was revoked"


def test_a_start_that_is_refused_leaves_earlier_rollouts_alone(any_fleet):
    any_fleet.add_devices(4)
    older = any_fleet.start(any_fleet.release("1.0.0"), ALL)
    nobody = dataclasses.replace(ALL, name="nobody", percent=0, matches="ring=a")
    refused = create(any_fleet, "1.1.0", nobody, ALL)
    with pytest.raises(RolloutError, match="no device is in its first group"):
        prepare(any_fleet, refused, 30)
    assert any_fleet.status(older)["groups"][0]["canceled"] == 0
    assert any_fleet.status(refused)["state"] == "ready"
    assert not any_fleet.status(refused)["reason"]


@pytest.mark.parametrize("halted", [False, True], ids=["paused", "halted"])
def test_resuming_in_pieces_may_be_interrupted(any_fleet, monkeypatch, halted):
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    fleet = any_fleet
    early = fleet.add_devices(3, ring="a")
    older = fleet.start(fleet.release("1.0.0"), dataclasses.replace(ALL, exposure=1))
    newer = fleet.start(fleet.release("1.1.0"), ALL, target="ring=a")
    if halted:
        assert fleet.go_round(early, "failure") == 3
    with fleet.standings() as standings:
        if not halted:
            rollouts.pause(standings, fleet.tenant.id, "anna", newer, "lunch")
        # As if they had come while it was not looked for them.
        connection = standings.connection
        for number in range(8):
            late = devices.register(connection, fleet.now, fleet.tenant.id, f"late-{number}")
            ring = {"ring": "b" if number == 0 else "a"}
            devices.set_attributes(connection, late, ring, "merge")
    why = fleet.status(newer)["reason"]
    late = list(range(early[-1] + 1, early[-1] + 9))
    prepare(fleet, newer, 2, prepare_resume)
    said = fleet.status(newer)
    assert (said["state"], said["groups"][0]["devices"]) == (["paused", "halted"][halted], 8)
    assert said["reason"].startswith(f"{why}; a resume by test began at")
    assert not any(fleet.poll(device) for device in late if fleet.actions(device, "scheduled"))
    reached = prepare(fleet, newer, 30, prepare_resume)
    assert fleet.status(newer)["reason"].count("a resume by") == 1
    with fleet.standings() as standings:  # looked at before, and now its own
        devices.set_attributes(standings.connection, late[0], {"ring": "a"}, "merge")
        join(standings, devices.find(standings.connection, fleet.tenant.id, "late-0"))
    (last,) = fleet.add_devices(1, "last", ring="a")
    with fleet.standings() as standings:
        resumed = rollouts.resume(standings, fleet.tenant.id, "anna", newer, reached)
    assert (resumed.rollout.state, resumed.rollout.reason) == ("running", "")
    assert resumed.counts[0].devices == 12
    assert all(fleet.poll(device) for device in (*late, last))
    assert fleet.status(older)["groups"][0]["touched"] == 0
    with fleet.database.read() as connection:
        told = audit.entries(connection, fleet.tenant.id)
    noted = next(entry for entry in told if entry["what"] == "rollout resume")
    assert noted["details"] == {"reason": why}


def test_of_two_who_resume_the_later_one_goes_on(small_fleet, monkeypatch):
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    small_fleet.add_devices(4)
    rollout = small_fleet.start(small_fleet.release("1.0.0"), ALL)
    with small_fleet.standings() as standings:
        rollouts.pause(standings, small_fleet.tenant.id, "anna", rollout)
    first = prepare(small_fleet, rollout, 1, prepare_resume)
    small_fleet.now += 1
    prepare(small_fleet, rollout, 1, prepare_resume)
    resume = pytest.raises(RolloutError, match=r"somebody else began that since: .* a resume by")
    with resume, small_fleet.standings() as standings:
        rollouts.resume(standings, small_fleet.tenant.id, "anna", rollout, first)
    small_fleet.resume(rollout)
    assert small_fleet.status(rollout)["state"] == "running"


def test_a_roll_back_in_pieces_may_be_interrupted(any_fleet, monkeypatch):
    """From its first moment on nobody is touched any more, and it brings back when it is whole."""
    monkeypatch.setattr("fleet.control.preparation._PIECE", 3)
    fleet = any_fleet
    ids = fleet.add_devices(16)
    good = fleet.release("1.0.0")
    fleet.start(good, ALL)
    fleet.go_round(ids)
    bad = fleet.start(fleet.release("1.1.0"), dataclasses.replace(ALL, exposure=9))
    assert fleet.go_round(ids[::2]) == 8
    shown = fleet.poll(ids[1])

    def begin():
        with fleet.standings() as standings:
            return rollouts.roll_back(standings, fleet.tenant.id, "test", bad, good)

    back = begin()
    assert [action.cancel_asked for action in fleet.actions(ids[1]) if action.id == shown] == [True]
    prepare(fleet, back, 1)
    stopped = fleet.status(bad)
    assert (stopped["state"], stopped["groups"][0]["canceled"]) == ("aborted", 3)
    prepare(fleet, back, 5)
    assert not [device for device in ids if device != ids[1] and fleet.poll(device)]
    assert "a start by test began" in fleet.status(back)["reason"]
    assert begin() == back, "it goes on, and begins no second one"
    reached = prepare(fleet, back, 30)
    assert fleet.status(bad)["groups"][0]["canceled"] == 7
    with fleet.standings() as standings:
        rollouts.start(standings, fleet.tenant.id, "test", back, reached)
    fleet.report(ids[1], shown, "closed", "success")
    assert fleet.go_round(ids) == 9
    assert fleet.status(back)["groups"][0]["success"] == 9
    assert fleet.status(back)["state"] == "finished"


def test_a_roll_back_that_starts_takes_of_those_who_come_only_whom_it_brings_back(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(6)
    good = fleet.release("1.0.0")
    bad = fleet.start(fleet.release("1.1.0"), dataclasses.replace(ALL, exposure=9))
    assert fleet.go_round(ids[:4]) == 4
    with fleet.standings() as standings:
        handover.revoke(standings, fleet.tenant.id, "anna", "device-0")
    with fleet.standings() as standings:
        back = rollouts.roll_back(standings, fleet.tenant.id, "test", bad, good)
    reached = prepare(fleet, back, 30)
    with fleet.standings() as standings:
        devices.renew_token(standings.connection, fleet.now, fleet.tenant.id, "anna", "device-0")
    assert fleet.add_devices(6, site="x") == ids  # they tell something else of themselves
    (new,) = fleet.add_devices(1, "new")
    with fleet.standings() as standings:
        rollouts.start(standings, fleet.tenant.id, "test", back, reached)
    fleet.go_round([*ids, new])
    brought = [
        device
        for device in (*ids, new)
        if back in {action.rollout_id for action in fleet.actions(device, "success")}
    ]
    assert brought == ids[:4]


def test_a_roll_back_that_would_bring_back_nobody_gives_nothing_up(any_fleet):
    ids = any_fleet.add_devices(3)
    release = any_fleet.release("1.0.0")
    rollout = any_fleet.start(release, dataclasses.replace(ALL, exposure=2))
    any_fleet.go_round(ids[:2])
    with pytest.raises(RolloutError, match="no device is in its first group"):
        any_fleet.roll_back(rollout, release)
    assert any_fleet.status(rollout)["state"] == "running"
    assert any_fleet.status(rollout)["groups"][0]["canceled"] == 0

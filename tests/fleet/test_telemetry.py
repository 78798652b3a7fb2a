"""Telemetry of devices stops a release that works and is worse, in a real database of each kind."""

import dataclasses

import pytest

from fleet.control.telemetry import MOST_RELEASES, told_by
from fleet.rollout.quality import Quality
from tests.fixtures.fleet_server import links
from tests.fixtures.small_fleet import CANARY, SmallFleet

HALF = dataclasses.replace(CANARY, percent=50, exposure=100, bake_s=7200.0)
REST = dataclasses.replace(CANARY, name="rest", percent=50, exposure=100)


def updated(fleet: SmallFleet, count: int = 60, **plan) -> tuple[int, list[int], list[int]]:
    """A rollout over devices that worked with 1.0.0, its first group with 2.0.0: id, that group, the rest."""
    ids = fleet.add_devices(count, hardware="pi-4")
    for device in ids:
        fleet.tell(device, "1.0.0", 1, triggers=10)
    fleet.release("1.0.0")
    rollout = fleet.start(fleet.release("2.0.0"), HALF, REST, **plan)
    fleet.go_round(ids)
    canaries = [device for device in ids if fleet.actions(device, "success")]
    return rollout, canaries, [device for device in ids if device not in canaries]


def test_a_release_that_always_fires_halts_before_the_second_group(any_fleet):
    fleet = any_fleet
    rollout, canaries, others = updated(fleet)
    for device in others:
        fleet.tell(device, "1.0.0", 2, triggers=11)
    told = 0
    while fleet.status(rollout)["state"] == "running":
        fleet.tell(canaries[told], "2.0.0", 2, triggers=200)
        told += 1
    assert told < 15, "a dozen pairs that all say the same are enough"
    status = fleet.status(rollout)
    assert "trigger_rate is 1" in status["reason"]
    assert f"higher than allowed in {told} of {told} pairs" in status["reason"]
    (bet,) = [q for q in status["quality"] if q["breach"]]
    assert (bet["metric"], bet["direction"], bet["slice"]) == ("trigger_rate", "higher", "")
    assert status["groups"][1]["touched"] == 0

    # A person goes on in spite of it: what was told until then counts no more.
    fleet.resume(rollout)
    fleet.tick(1.0)
    assert fleet.status(rollout)["state"] == "running"
    assert fleet.status(rollout)["quality"] == []
    for device in canaries:
        fleet.tell(device, "2.0.0", 3, triggers=200)
    assert fleet.status(rollout)["state"] == "running"
    for device in others:
        fleet.tell(device, "1.0.0", 3, triggers=11)
    assert fleet.status(rollout)["state"] == "halted", "as much evidence came anew"


def test_a_device_that_makes_up_releases_fills_no_database(any_fleet):
    (device,) = any_fleet.add_devices(1)
    for number in range(MOST_RELEASES + 5):
        any_fleet.tell(device, f"1.0.{number}", number)
    with any_fleet.database.read() as connection:
        told = [work["release"]["version"] for work in told_by(connection, device)]
    assert len(told) == MOST_RELEASES
    assert told[0] == f"1.0.{MOST_RELEASES + 4}", "the newest stay"


def test_a_good_one_goes_on_when_it_has_baked(any_fleet):
    fleet = any_fleet
    rollout, canaries, others = updated(fleet)
    for version, devices in (("1.0.0", others), ("2.0.0", canaries)):
        for place, device in enumerate(devices):
            fleet.tell(device, version, 2, triggers=8 + place % 5)
    assert fleet.go_round(others) == 0, "it has not baked"
    fleet.tick(7200)
    assert fleet.go_round(others) == len(others)
    status = fleet.status(rollout)
    assert status["state"] == "finished"
    assert {q["pairs"] for q in status["quality"]} == {min(len(canaries), len(others))}
    assert not any(q["breach"] for q in status["quality"])


def test_a_report_that_comes_twice_counts_once(any_fleet):
    fleet = any_fleet
    rollout, canaries, others = updated(fleet, quality=Quality(least_hours=2.0))
    for _ in range(3):
        fleet.tell(canaries[0], "2.0.0", 2, triggers=5)
        fleet.tell(others[0], "1.0.0", 2, triggers=5)
    assert fleet.status(rollout)["quality"] == [], "each told of one hour, three times"
    fleet.tell(canaries[0], "2.0.0", 3, triggers=5)
    fleet.tell(others[0], "1.0.0", 3, triggers=5)
    assert {q["pairs"] for q in fleet.status(rollout)["quality"]} == {1}


def test_slices_are_told_apart(small_fleet):
    rollout, canaries, others = updated(small_fleet, quality=Quality(slices=("hardware",)))
    small_fleet.tell(canaries[0], "2.0.0", 2, triggers=5)
    small_fleet.tell(others[0], "1.0.0", 2, triggers=5)
    assert {q["slice"] for q in small_fleet.status(rollout)["quality"]} == {"", "hardware=pi-4"}


WORK = {"release": {"name": "model", "version": "1.0.0"}, "sequence": 1, "hours": 0.5}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"release": "model"}, "release: give"),
        ({"release": {"name": "", "version": "1"}}, "release: give"),
        ({"sequence": -1}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"hours": 0}, "hours: must be above 0"),
        ({"hours": None}, "hours: give a number"),
        ({"hours": 1e300}, "hours: give a number"),
        ({"triggers": 1.5}, "triggers: give a number"),
        ({"crashes": -1}, "crashes: give a number"),
        ({"score_sum": 2.0, "scores": 1}, "score_sum at most scores"),
    ],
)
def test_what_is_no_telemetry_is_refused(server, change, said):
    with server.device("cam") as device:
        assert links(device.get("")) is not None
        answer = device.post("/telemetry", json={**WORK, **change})
        assert answer.status_code == 400
        assert said in answer.json()["detail"]


def test_devices_tell_over_http_with_their_token_alone(server):
    with server.device("cam") as device:
        device.get("")
        assert device.post("/telemetry", json={**WORK, "triggers": 3, "new": {}}).status_code == 200
        assert device.get("/telemetry").status_code == 405
    with server.device("cam", "GatewayToken wrong") as stranger:
        assert stranger.post("/telemetry", json=WORK).status_code == 401

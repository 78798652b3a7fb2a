"""A device that changes hands: lost, found again, and replaced by other hardware."""

from __future__ import annotations

import dataclasses
import json

import pytest

from fleet.__main__ import main
from fleet.command_line import parse
from fleet.control import audit, devices, handover, telemetry
from fleet.control.enrolment import join
from fleet.store.errors import NotFoundError
from tests.fixtures.fleet_server import links
from tests.fixtures.small_fleet import CANARY

ALL = dataclasses.replace(CANARY, percent=100, exposure=100, minimum_sample=1)
ID = "device-0"


def fleet_command(fleet, capsys, *words: str):
    assert main(parse(["fleet", "device", *words, "--root", str(fleet.root), "--json"])) == 0
    return json.loads(capsys.readouterr().out)


def says_what_it_is(fleet, **attributes: str) -> None:
    with fleet.standings() as standings:
        connection = standings.connection
        row = devices.find(connection, fleet.tenant.id, ID)
        devices.set_attributes(connection, row.id, attributes, "merge")
        join(standings, devices.find(connection, fleet.tenant.id, ID))


def change(fleet, what, name: str = ID):
    with fleet.standings() as standings:
        return what(standings, fleet.tenant.id, "anna", name)


def test_a_revoked_device_is_let_in_by_no_token_until_it_has_a_new_one(server, capsys):
    first = fleet_command(server, capsys, "add", ID)["token"]
    assert server.device(ID, f"TargetToken {first}").get("").status_code == 200
    assert server.device(ID).get("").status_code == 200
    assert fleet_command(server, capsys, "revoke", ID)["revoked"]
    for authorization in (f"TargetToken {first}", "", "TargetToken e3b0"):
        assert server.device(ID, authorization).get("").status_code == 401
    assert fleet_command(server, capsys, "show", ID)["revoked"]
    second = fleet_command(server, capsys, "token", ID)["token"]
    assert server.device(ID, f"TargetToken {first}").get("").status_code == 401
    assert server.device(ID, f"TargetToken {second}").get("").status_code == 200


def test_other_hardware_has_not_polled_yet(any_fleet):
    any_fleet.add_devices(1)
    with any_fleet.standings() as standings:
        row = devices.find(standings.connection, any_fleet.tenant.id, ID)
        devices.note_polls(standings.connection, 5.0, [row.id])
    change(any_fleet, handover.replace)
    with any_fleet.database.read() as connection:
        assert devices.find(connection, any_fleet.tenant.id, ID).seen is None


def test_other_hardware_takes_over_the_id_says_what_it_is_and_is_given_the_release(server, capsys):
    first = fleet_command(server, capsys, "add", ID)["token"]
    here = server.device(ID, f"TargetToken {first}")
    here.put("/configData", json={"data": {"hardware": "old"}})
    server.start(server.release("1.0.0"), ALL)
    server.pass_time()
    action = links(here.get(""))["deploymentBase"].rpartition("/")[2].partition("?")[0]
    done = {"status": {"execution": "closed", "result": {"finished": "success"}}}
    assert here.post(f"/deploymentBase/{action}/feedback", json=done).status_code == 200
    second = fleet_command(server, capsys, "replace", ID)["token"]
    assert here.get("").status_code == 401
    here = server.device(ID, f"TargetToken {second}")
    assert set(links(here.get(""))) == {"configData"}
    here.put("/configData", json={"data": {"hardware": "new"}})
    assert "deploymentBase" in links(here.get(""))
    assert here.post(f"/deploymentBase/{action}/feedback", json=done).status_code == 200
    assert set(links(here.get(""))) == {"installedBase"}
    shown = fleet_command(server, capsys, "show", ID)
    assert (shown["attributes"], shown["revoked"]) == ({"hardware": "new"}, False)
    (kept,) = shown["actions"]
    assert kept["state"] == "success"
    assert [said["kind"] for said in kept["reports"]] == ["deployment", "handover", "deployment"]


def test_other_hardware_is_not_shown_what_the_former_was_silent_about(server, capsys):
    ids = server.add_devices(2)
    half = dataclasses.replace(ALL, error_threshold=1, success_threshold=0.5)
    server.start(server.release("1.0.0"), half)
    here = server.device(ID)
    server.pass_time()
    assert "deploymentBase" in links(here.get(""))
    server.now = server.clock()
    assert server.go_round(ids[1:]) == 1
    server.pass_time(200)
    assert server.status(1)["groups"][0]["timed_out"] == 1
    assert "deploymentBase" in links(here.get(""))
    token = fleet_command(server, capsys, "replace", ID)["token"]
    here = server.device(ID, f"TargetToken {token}")
    server.pass_time()
    assert set(links(here.get(""))) == {"configData"}
    here.put("/configData", json={"data": {"hardware": "new"}})
    assert "deploymentBase" in links(here.get(""))


def test_other_hardware_is_heard_though_it_counts_its_reports_anew(any_fleet):
    (device,) = any_fleet.add_devices(1)
    any_fleet.tell(device, "1.0.0", 1_700_000_000, crashes=1)
    change(any_fleet, handover.replace)
    any_fleet.tell(device, "1.0.0", 0, crashes=2)
    with any_fleet.database.read() as connection:
        (told,) = telemetry.told_by(connection, device)
    assert told["crashes"] == 3


def test_operators_revoke_and_replace_over_the_api(server):
    server.add_devices(1)
    here = f"/api/v1/default/devices/{ID}"
    assert server.admin.post(f"{here}/revoke").json() == {"id": ID, "revoked": True}
    assert server.admin.get(here).json()["revoked"]
    assert server.device(ID).get("").status_code == 401
    token = server.admin.post(f"{here}/replace").json()["token"]
    assert server.device(ID, f"TargetToken {token}").get("").status_code == 200
    assert server.admin.post("/api/v1/default/devices/nobody/revoke").status_code == 404


def test_no_rollout_waits_for_a_device_that_is_lost(any_fleet):
    fleet = any_fleet
    ids = fleet.add_devices(3)
    rollout = fleet.start(fleet.release("1.0.0"), ALL)
    assert fleet.poll(ids[0]) is not None
    change(fleet, handover.revoke)
    fleet.go_round(ids[1:])
    assert fleet.status(rollout)["state"] == "finished"
    assert [action.state for action in fleet.actions(ids[0])] == ["canceled"]
    later = fleet.start(fleet.release("1.0.1"), ALL)
    assert fleet.status(later)["groups"][0]["devices"] == 2


def test_one_that_takes_the_place_of_a_lost_device_is_given_the_newest_release_alone(any_fleet):
    fleet = any_fleet
    (device,) = fleet.add_devices(1)
    for version in ("1.0.0", "1.0.1"):
        fleet.start(fleet.release(version), ALL)
        fleet.go_round([device])
    change(fleet, handover.revoke)
    change(fleet, handover.replace)
    assert fleet.poll(device) is None, "it has not said what it is"
    says_what_it_is(fleet, hardware="new")
    assert fleet.go_round([device]) == 1
    assert fleet.poll(device) is None
    assert [action.state for action in fleet.actions(device)] == ["success", "success"]
    with fleet.database.read() as connection:
        what = [entry["what"] for entry in audit.entries(connection, fleet.tenant.id)]
        (listed,) = devices.listing(connection, fleet.tenant.id)
    assert {"device revoke", "device replace"} <= set(what)
    assert listed["installed"] == {"name": "model", "version": "1.0.1"}


@pytest.mark.parametrize("what", [handover.revoke, handover.replace])
def test_a_device_that_is_not_there_cannot_change_hands(small_fleet, what):
    with pytest.raises(NotFoundError, match="there is none"):
        change(small_fleet, what, "nobody")

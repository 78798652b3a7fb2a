"""Bad days: what devices and people send that they should not, and things that happen at once."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json

import httpx
import pytest

from fleet.control import releases, rollouts, tenants
from fleet.rollout.plan import Plan
from tests.fixtures.fleet_server import RunningFleet, links
from tests.fixtures.small_fleet import CANARY

ALL = dataclasses.replace(CANARY, percent=100, exposure=100)


def _said(execution: str, finished: str = "none", details: object = ()) -> dict[str, object]:
    result = {"finished": finished}
    return {"status": {"execution": execution, "result": result, "details": details}}


def _at_work(server: RunningFleet, name: str = "cam") -> tuple[httpx.Client, str]:
    """A device at work on an action; its client, and the action's address."""
    client = server.device(name)
    client.get("")
    server.start(server.release("1.0.0"), ALL)
    server.pass_time()
    return client, links(client.get(""))["deploymentBase"].partition("?")[0]


def test_a_device_that_finishes_what_it_was_asked_to_cancel_has_succeeded(any_server):
    server = any_server
    client, base = _at_work(server)
    with server.standings() as standings:
        rollouts.abort(standings, server.tenant.id, "anna", 1)
    server.pass_time()
    assert list(links(client.get(""))) == ["cancelAction", "configData"]
    assert client.post(f"{base}/feedback", json=_said("closed", "success")).status_code == 200
    found = links(client.get(""))
    assert ("cancelAction" in found, "installedBase" in found) == (False, True)
    group = server.status(1)["groups"][0]
    assert (group["success"], group["canceled"], group["in_flight"]) == (1, 0, 0)
    late = client.post(f"{base.replace('deployment', 'cancel', 1)}/feedback", json=_said("closed"))
    assert late.status_code in (404, 410)


def test_an_artifact_that_is_deleted_meanwhile_comes_to_its_end(server):
    source = server.root / "large.swu"
    source.write_bytes(bytes(range(256)) * 40_000)
    client = server.device("cam")
    client.get("")
    with server.database.write() as connection:
        row = releases.add_file(
            connection, 1.0, server.tenant, "test", server.root, source, "large", "1.0.0"
        )
    server.start(row, ALL)
    server.pass_time()
    (chunk,) = client.get(links(client.get(""))["deploymentBase"]).json()["deployment"]["chunks"]
    href = chunk["artifacts"][0]["_links"]["download"]["href"]
    with client.stream("GET", href) as answer:
        pieces = answer.iter_bytes()
        got = next(pieces)
        for file in server.root.glob("artifacts/*/*"):
            file.unlink()
        got += b"".join(pieces)
    assert got == source.read_bytes()
    assert client.get(href).status_code == 404


@pytest.mark.parametrize("verb", ["start", "abort"])
def test_of_operators_who_do_the_same_at_once_one_does_it(any_server, verb):
    server = any_server
    server.add_devices(6)
    release = server.release("1.0.0")
    with server.standings() as standings:
        rollouts.create(standings, server.tenant.id, "test", release, Plan(groups=(ALL,)))
    here = "/api/v1/default/rollouts/1"
    with server.database.write() as connection:
        tokens = [
            tenants.add_operator(connection, server.clock(), "test", f"op-{n}", "operator")
            for n in range(6)
        ]

    def do(token: str) -> int:
        with server.operator(token) as client:
            return client.post(f"{here}/{verb}").status_code

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        codes = sorted(pool.map(do, tokens))
    assert codes == [200] + [409] * 5
    done = server.admin.get("/api/v1/default/audit").json()["entries"]
    assert [e["what"] for e in done].count(f"rollout {verb}") == 1
    devices = server.admin.get(here).json()["groups"][0]["devices"]
    assert devices == (6 if verb == "start" else 0)


def test_a_device_that_talks_without_end_is_shown_in_bounds(server, monkeypatch):
    monkeypatch.setattr("fleet.control.devices.MAX_TOLD", 10)
    client, base = _at_work(server)
    words = ["x" * 5000] * 200
    for number in range(30):
        said = _said("proceeding", details=[*words[:40], str(number)])
        assert client.post(f"{base}/feedback", json=said).status_code == 200
    assert (
        client.post(f"{base}/feedback", json=_said("proceeding", details=words)).status_code == 413
    )
    told = server.admin.get("/api/v1/default/devices/cam")
    (action,) = told.json()["actions"]
    assert action["reports"][-1]["details"][-1] == "29"
    assert max(len(text) for report in action["reports"] for text in report["details"]) == 512
    assert len(action["reports"]) == 10
    history = client.get(base, params={"actionHistory": 5}).json()["actionHistory"]
    assert len(history["messages"]) == 5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/devices", b"{"),
        ("/devices", b"[]"),
        ("/devices", b'{"id": 5}'),
        ("/rollouts", b'{"release": null}'),
        ("/rollouts", b"[" * 100_000),
        ("/rollouts/1/rollback", b"{}"),
        ("/rollouts/1/pause", b'{"reason": "\\u0000"}'),
    ],
)
def test_what_operators_send_wrongly_is_a_problem_and_changes_nothing(server, path, body):
    before = server.admin.get("/api/v1/default/audit").json()
    answer = server.admin.post(f"/api/v1/default{path}", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (
        400,
        "application/problem+json",
    )
    large = server.admin.post(f"/api/v1/default{path}", content=b" " * (2 * 1024 * 1024 + 1))
    assert large.status_code == 413
    assert server.admin.get("/api/v1/default/audit").json() == before


def test_ten_thousand_tags_are_one_answer_and_none_is_kept(server):
    client = server.device("cam")
    client.get("")
    tags = {f"tag-{n}": "x" for n in range(10_000)}
    answer = client.put("/configData", json={"data": tags})
    assert (answer.status_code, answer.json()["status"]) == (409, 409)
    removed = client.put("/configData", json={"mode": "remove", "data": tags})
    assert removed.status_code == 200
    assert server.admin.get("/api/v1/default/devices/cam").json()["attributes"] == {}


def test_moments_that_devices_tell_count_for_nothing(server):
    client, base = _at_work(server)
    said = {"time": "19700101T000000", "timestamp": 10**18, **_said("closed", "success")}
    assert client.post(f"{base}/feedback", content=json.dumps(said)).status_code == 200
    (action,) = server.admin.get("/api/v1/default/devices/cam").json()["actions"]
    assert action["ended"] == pytest.approx(server.clock(), abs=5)


def test_a_database_that_fails_is_told_without_its_place(any_server):
    server = any_server
    client = server.device("cam")
    server.admin.cookies.set("fleet_operator", "guess")

    def rename(one: str, other: str) -> None:
        with server.database.write() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {one} RENAME TO {other}")

    assert client.get("").status_code == 200
    for table, ask in (
        ("device", lambda: client.get("")),
        ("operator", lambda: server.admin.get("/")),
    ):
        rename(table, "away")
        answer = ask()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), table
        assert table not in answer.text
        rename("away", table)
        assert ask().status_code in (200, 303)

"""What hawkBit's clients do, over HTTP against the running server."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control import rollouts, tenants
from fleet.server.bodies import parse_attributes, parse_feedback, parse_object
from fleet.server.problems import Problem
from fleet.server.ranges import Part, choose_part
from tests.fixtures.fleet_server import links
from tests.fixtures.small_fleet import CANARY

ALL = dataclasses.replace(CANARY, percent=100, exposure=100)


def feedback(execution, finished="none", **more):
    """As SWUpdate and rauc-hawkbit-updater send it: with keys that nobody asked for."""
    status = {"execution": execution, "result": {"finished": finished}, "details": ["a", "b"]}
    return {"id": 165, "time": "20260101T000000", "status": status, **more}


def is_problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return True


def offered(server, name="cam", **plan):
    """A device that was shown an action; its client and the address of the deployment."""
    client = server.device(name)
    client.get("")
    server.start(server.release("1.0.0"), ALL, **plan)
    server.pass_time()
    return client, links(client.get(""))["deploymentBase"]


def test_poll_download_install_and_report(any_server):
    server = any_server
    client = server.device("cam")
    first = client.get("")
    assert first.json()["config"] == {"polling": {"sleep": "00:05:00"}}
    told = {"id": "", "status": {}, "mode": "replace", "data": {"hardware": "pi-4", "boot": 1}}
    assert client.put(links(first)["configData"], json=told).status_code == 200
    assert links(client.get("")) == {}

    release = server.release("1.0.0")
    rollout = server.start(release, ALL)
    server.pass_time()
    found = links(client.get(""))
    assert list(found) == ["deploymentBase"]
    base = found["deploymentBase"].partition("?")[0]
    answer = client.get(found["deploymentBase"]).json()
    assert int(answer["id"]) > 0
    assert answer["deployment"]["update"] == "forced"
    (chunk,) = answer["deployment"]["chunks"]
    assert (chunk["part"], chunk["name"], chunk["version"]) == ("bApp", "model", "1.0.0")
    (artifact,) = chunk["artifacts"]
    assert artifact["hashes"] == {n: getattr(release, n) for n in ("sha1", "md5", "sha256")}

    href = artifact["_links"]["download"]["href"]
    whole = client.get(href)
    assert (len(whole.content), whole.headers["etag"]) == (release.size, f'"{release.sha1}"')
    part = client.get(href, headers={"Range": "bytes=10-", "If-Range": f'"{release.sha1}"'})
    assert (part.status_code, part.content) == (206, whole.content[10:])
    assert client.get(href, headers={"Range": f"bytes={release.size}-"}).status_code == 416
    md5 = client.get(artifact["_links"]["md5sum"]["href"])
    assert md5.text == f"{release.md5}  {artifact['filename']}"
    listed = client.get(href.rpartition("/")[0]).json()
    assert [a["filename"] for a in listed] == [artifact["filename"]]

    for execution in ("download", "downloaded", "proceeding", "proceeding"):
        assert client.post(f"{base}/feedback", json=feedback(execution)).status_code == 200
    history = client.get(base, params={"actionHistory": -1}).json()["actionHistory"]
    assert "actionHistory" not in client.get(base, params={"actionHistory": "--1"}).json()
    assert (history["status"], len(history["messages"])) == ("RUNNING", 6)
    closed = feedback("closed", "success")
    assert client.post(f"{base}/feedback", json=closed).status_code == 200
    assert is_problem(client.post(f"{base}/feedback", json=closed), 410)
    assert is_problem(client.get(base), 404)
    assert list(links(client.get(""))) == ["installedBase"]
    installed = client.get(links(client.get(""))["installedBase"]).json()
    assert installed["deployment"]["chunks"][0]["version"] == "1.0.0"
    assert server.status(rollout)["state"] == "finished"


def test_who_may_not_come(server):
    server.device("cam").get("")
    token = server.admin.post("/api/v1/default/devices", json={"id": "own"}).json()["token"]
    assert links(server.device("own", f"TargetToken {token}").get("")).keys() == {"configData"}
    for name, authorization in (
        ("cam", f"TargetToken {token}"),
        ("own", "TargetToken forged"),
        ("own", f"GatewayToken {token}"),
        ("own", "nonsense"),
        ("unknown", "TargetToken x"),
    ):
        assert is_problem(server.device(name, authorization).get(""), 401)
    other = server.device("cam")
    other.base_url = f"{server.address}/nobody/controller/v1/cam"
    assert is_problem(other.get(""), 404)
    with server.database.write() as connection:
        tenants.renew_gateway_token(connection, 1.0, "anna", "default")
    server.pass_time()
    assert is_problem(server.device("cam").get(""), 401)


@pytest.mark.parametrize("name", ["..", "a%2Fb", "a%00b", "x" * 300, "%22%7D", "a b", "-x"])
def test_ids_that_play_tricks_are_not_registered(server, name):
    with server.device(name) as client:
        assert client.get("").status_code in (400, 404)
    assert server.admin.get("/api/v1/default/devices").json()["devices"] == []


def test_an_action_belongs_to_its_device(server):
    _, base = offered(server)
    other = server.device("other")
    other.get("")
    mine = base.replace("/cam/", "/other/").partition("?")[0]
    assert is_problem(other.get(mine), 404)
    assert is_problem(other.post(f"{mine}/feedback", json=feedback("closed", "failure")), 404)
    release = "softwaremodules/1/artifacts"
    assert other.get("").status_code == 200
    assert is_problem(server.device("third").get(f"/{release}"), 404)
    for number in ("0", "x", "-1", "9" * 10, "9" * 30):
        assert is_problem(other.get(f"/deploymentBase/{number}"), 404)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"status": 5}',
        b'{"status": {"execution": "dance"}}',
        b'{"status": {"execution": "closed", "result": {"finished": "perhaps"}}}',
        b'{"status": NaN}',
        b'"\\ud800"',
        b"[" * 100_000,
    ],
)
def test_feedback_that_says_nothing_is_refused_and_changes_nothing(server, body):
    client, base = offered(server)
    path = f"{base.partition('?')[0]}/feedback"
    assert is_problem(client.post(path, content=body), 400)
    assert is_problem(client.post(path, content=b"x" * 300_000), 413)
    assert links(client.get(""))["deploymentBase"] == base


def test_too_many_attributes_are_refused(server):
    client = server.device("cam")
    many = {"data": {f"tag{n}": "x" for n in range(10_000)}}
    assert is_problem(client.put("/configData", json=many), 409)
    assert is_problem(client.put("/configData", json={"data": {"a": "x" * 300_000}}), 413)
    assert is_problem(client.put("/configData", json={"data": [], "mode": "merge"}), 400)
    assert client.put("/configData", json={"data": {"nul": "a\0b"}}).status_code == 200
    assert server.admin.get("/api/v1/default/devices/cam").json()["attributes"] == {"nul": "ab"}


def test_a_cancellation_is_shown_and_granted(server):
    client, base = offered(server)
    with server.standings() as standings:
        rollouts.abort(standings, server.tenant.id, "anna", 1)
    found = links(client.get(""))
    assert "deploymentBase" not in found
    cancel = found["cancelAction"]
    number = base.partition("?")[0].rpartition("/")[2]
    assert client.get(cancel).json() == {"id": number, "cancelAction": {"stopId": number}}
    for execution, finished in (("canceled", "none"), ("closed", "success")):
        said = client.post(f"{cancel}/feedback", json=feedback(execution, finished))
        assert said.status_code == 200
    assert "cancelAction" not in links(client.get(""))
    assert is_problem(client.get(cancel), 404)
    assert is_problem(client.post(f"{cancel}/feedback", json=feedback("closed")), 410)


def test_consent_is_asked_for(server):
    with server.database.write() as connection:
        tenants.change(connection, 1.0, "anna", "default", confirmation=True)
    client = server.device("cam")
    client.get("")
    server.start(server.release("1.0.0"), ALL)
    server.pass_time()
    found = links(client.get(""))
    assert "deploymentBase" not in found
    base = found["confirmationBase"].partition("?")[0]
    assert client.get(base).json()["confirmation"]["chunks"][0]["version"] == "1.0.0"
    deployment = base.replace("confirmationBase", "deploymentBase")
    assert is_problem(client.get(deployment), 404)
    assert is_problem(client.post(f"{deployment}/feedback", json=feedback("closed")), 404)
    assert is_problem(client.post(f"{base}/feedback", json={"confirmation": "maybe"}), 400)
    assert client.post(f"{base}/feedback", json={"confirmation": "denied"}).status_code == 200
    overview = client.get("/confirmationBase").json()
    assert overview["autoConfirm"] == {"active": False}
    activate = overview["_links"]["activateAutoConfirm"]["href"]
    assert client.post(activate, json={"initiator": "anna"}).status_code == 200
    assert "deploymentBase" in links(client.get(""))
    assert client.get("/confirmationBase").json()["autoConfirm"]["initiator"] == "anna"
    assert client.post("/confirmationBase/deactivateAutoConfirm").status_code == 200


def test_what_was_installed_without_us_is_told(server):
    client = server.device("cam")
    release = server.release("1.0.0")
    told = {"name": "model", "version": "1.0.0"}
    assert [client.put("/installedBase", json=told).status_code for _ in range(2)] == [201, 200]
    assert is_problem(client.put("/installedBase", json={"name": "x", "version": "1"}), 404)
    (device,) = server.admin.get("/api/v1/default/devices").json()["devices"]
    assert device["installed"]["version"] == release.version


def test_a_slow_device_is_still_shown_what_it_should_do(server):
    client, base = offered(server, time_out_s=100.0)
    for name in ("a", "b", "c", "d"):
        server.device(name).get("")
    server.pass_time()
    for name in ("a", "b", "c", "d"):
        peer = server.device(name)
        href = links(peer.get(""))["deploymentBase"].partition("?")[0]
        peer.post(f"{href}/feedback", json=feedback("closed", "success"))
    server.pass_time(101)
    assert server.status(1)["groups"][0]["timed_out"] == 1
    assert links(client.get(""))["deploymentBase"] == base
    said = client.post(f"{base.partition('?')[0]}/feedback", json=feedback("closed", "success"))
    assert said.status_code == 200
    assert server.status(1)["groups"][0]["success"] == 5


def test_an_artifact_that_is_gone_is_a_problem_and_no_crash(server):
    client, base = offered(server)
    (artifact,) = client.get(base).json()["deployment"]["chunks"][0]["artifacts"]
    href = artifact["_links"]["download"]["href"]
    for trick in ("..%2f..%2ffleet.db", "%2e%2e/%2e%2e/fleet.db", "x.swu"):
        answer = client.get(f"{href.rpartition('/')[0]}/{trick}")
        assert answer.status_code in (404, 405)
        assert b"SQLite" not in answer.content
    for file in server.root.glob("artifacts/*/*"):
        file.unlink()
    assert is_problem(client.get(href), 404)


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({}, Part(200, 0, 100)),
        ({"range": "bytes=0-9"}, Part(206, 0, 10)),
        ({"range": "bytes=90-"}, Part(206, 90, 100)),
        ({"range": "bytes=90-500"}, Part(206, 90, 100)),
        ({"range": "bytes=-7"}, Part(206, 93, 100)),
        ({"range": "bytes=-700"}, Part(206, 0, 100)),
        ({"range": "bytes=-0"}, Part(416)),
        ({"range": "bytes=100-"}, Part(416)),
        ({"range": "bytes=9-3"}, Part(200, 0, 100)),
        ({"range": "bytes=0-1,5-6"}, Part(200, 0, 100)),
        ({"range": "lines=0-1"}, Part(200, 0, 100)),
        ({"range": "bytes=5-", "if-range": '"a"'}, Part(206, 5, 100)),
        ({"range": "bytes=5-", "if-range": '"b"'}, Part(200, 0, 100)),
        ({"range": "bytes=5-", "if-range": 'W/"a"'}, Part(200, 0, 100)),
        ({"if-match": '"b", "a"'}, Part(200, 0, 100)),
        ({"if-match": '"b"'}, Part(412)),
        ({"if-match": 'W/"a"'}, Part(412)),
        ({"if-match": "*"}, Part(200, 0, 100)),
        ({"if-none-match": 'W/"a"'}, Part(304)),
    ],
)
def test_ranges(headers, part):
    assert choose_part(headers, '"a"', 100) == part
    if part.status in (206, 416):
        assert choose_part(headers, '"a"', 100, "HEAD") == Part(200, 0, 100)


_texts = st.sampled_from(
    [
        "status",
        "execution",
        "result",
        "finished",
        "closed",
        "none",
        "code",
        "details",
        "data",
        "mode",
    ]
) | st.text(max_size=4)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_texts, _values, max_size=5))
def test_any_object_is_understood_or_a_problem(body):
    with contextlib.suppress(Problem):
        said, code, details = parse_feedback(body)
        assert said.finished in ("success", "failure", "none")
        assert code is None or -(2**31) <= code < 2**31
        assert all("\0" not in text and len(text) <= 512 for text in details)
    with contextlib.suppress(Problem):
        given_, mode = parse_attributes(body)
        assert mode in ("merge", "replace", "remove")
        assert all(isinstance(value, str) for value in given_.values())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_an_object_or_a_problem(body):
    with contextlib.suppress(Problem):
        assert isinstance(parse_object(body), dict)


def test_whole_numbers_may_be_written_with_a_point(server):
    client = server.device("cam")
    told = {"release": {"name": "model", "version": "1.0.0"}, "sequence": 7.0, "hours": 1}
    assert client.post("/telemetry", json={**told, "crashes": 2.0}).status_code == 200
    assert is_problem(client.post("/telemetry", json={**told, "crashes": 2.5}), 400)
    (kept,) = server.admin.get("/api/v1/default/devices/cam").json()["telemetry"]
    assert kept["crashes"] == 2


def test_a_resource_that_is_there_refuses_other_methods_as_such(server):
    client = server.device("cam")
    poll = str(client.base_url).rstrip("/")
    assert client.head(poll).status_code == 200
    for method, path in (("DELETE", poll), ("GET", "/confirmationBase/activateAutoConfirm")):
        answer = client.request(method, path)
        assert is_problem(answer, 405)
        assert answer.headers["allow"]
    for initiator in (5, {}, [], False, "\n"):
        body = {"initiator": initiator}
        assert is_problem(client.post("/confirmationBase/activateAutoConfirm", json=body), 400)
    for number in ("x", "9" * 5000, "-1"):
        assert is_problem(client.get(f"/deploymentBase/{number}"), 404)

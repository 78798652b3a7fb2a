"""The operators' API, the served repository, and the commands, as people use them."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.waiting import Limits
from fleet.__main__ import main
from fleet.command_line import make_parser, parse
from fleet.control import devices, releases, tenants
from fleet.repository import Repository
from fleet.rollout.plan import Plan, encode
from fleet.server.poll import sleep
from fleet.store.database import Database, default_url
from tests.fixtures.bundles import make_bundle
from tests.fixtures.fleet_server import links
from tests.fixtures.small_fleet import CANARY

ROOT = Path(__file__).resolve().parents[2]
PLAN = encode(Plan(groups=(dataclasses.replace(CANARY, percent=100),)))


def test_a_rollout_through_the_api(any_server):
    server = any_server
    server.add_devices(6)
    server.release("1.0.0")
    api = "/api/v1/default/rollouts"
    body = {"release": {"name": "model", "version": "1.0.0"}, "plan": PLAN, "name": "spring"}
    made = server.admin.post(api, json=body)
    assert (made.status_code, made.json()["state"]) == (201, "ready")
    here = f"{api}/{made.json()['id']}"
    bare = server.admin.build_request("POST", f"{here}/start")
    del bare.headers["content-length"]  # as curl sends a POST of nothing
    assert server.admin.send(bare).json()["state"] == "running"
    assert server.admin.post(f"{here}/start").status_code == 409
    assert server.admin.post(f"{here}/pause", json={"reason": "lunch"}).json()["reason"] == "lunch"
    client = server.device("device-0")
    assert "deploymentBase" not in links(client.get(""))
    assert server.admin.post(f"{here}/resume").json()["state"] == "running"
    assert "deploymentBase" in links(client.get(""))
    status = server.admin.get(here).json()
    assert (status["groups"][0]["devices"], status["groups"][0]["touched"]) == (6, 1)
    assert server.admin.post(f"{here}/abort").json()["reason"] == "aborted by admin"
    said = server.admin.get("/api/v1/default/audit").json()["entries"]
    assert [e["what"] for e in said if e["who"] == "admin"] == [
        "rollout abort", "rollout resume", "rollout pause", "rollout start", "rollout create",
    ]  # fmt: skip
    assert server.admin.get(api).json()["rollouts"][0]["name"] == "spring"


def test_a_refused_start_leaves_nothing(server):
    server.release("1.0.0")
    body = {"release": {"name": "model", "version": "1.0.0"}, "plan": PLAN}
    here = f"/api/v1/default/rollouts/{server.admin.post('/api/v1/default/rollouts', json=body).json()['id']}"
    refused = server.admin.post(f"{here}/start")
    assert refused.status_code == 409
    assert "no device has come yet" in refused.json()["detail"]
    assert server.admin.get(here).json()["state"] == "ready"
    assert "rollout start" not in str(server.admin.get("/api/v1/default/audit").json())


def test_roles_tenants_and_tokens(server):
    with server.database.write() as connection:
        other, _ = tenants.add(connection, 1.0, "test", "other")
        made = {
            role: tenants.add_operator(connection, server.clock(), "test", role, role)
            for role in ("viewer", "operator")
        }
        only = tenants.add_operator(connection, server.clock(), "t", "only", "signer", other)
        short = tenants.add_operator(connection, server.clock(), "t", "short", "viewer", None, 1)
    server.pass_time()
    devices = "/api/v1/default/devices"
    viewer, operator = server.operator(made["viewer"]), server.operator(made["operator"])
    assert viewer.get(devices).status_code == 200
    assert viewer.post(devices, json={"id": "a"}).status_code == 403
    assert operator.post(devices, json={"id": "a"}).status_code == 201
    assert operator.post(devices, json={"id": "a"}).status_code == 409
    assert server.operator(only).get("/api/v1/other/devices").status_code == 200
    assert server.operator(only).get(devices).status_code == 404
    assert server.operator(only).get("/api/v1/tenants").status_code == 404
    assert server.operator(short).get(devices).status_code == 200
    server.pass_time(86_401)
    for token in (short, "forged"):
        refused = server.operator(token).get(devices)
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{server.address}/metrics", timeout=60).status_code == 401
    assert "fleet_polls_total" in viewer.get("/metrics").text
    assert server.admin.get("/api/v1/nobody/devices").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"release": {"name": "model", "version": "9.9.9"}, "plan": PLAN}, 404),
        ({"release": "model", "plan": PLAN}, 400),
        ({"release": {"name": "model", "version": "1.0.0"}, "plan": {"groups": [{}]}}, 400),
        ({"release": {"name": "model", "version": "1.0.0"}, "plan": PLAN, "name": 5}, 400),
    ],
)
def test_wrong_rollouts_are_problems(server, body, status):
    answer = server.admin.post("/api/v1/default/rollouts", json=body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert server.admin.get("/api/v1/default/rollouts?limit=x").status_code == 400
    assert server.admin.get("/nothing").json()["title"] == "Not Found"
    assert server.admin.delete("/api/v1/default/rollouts").status_code == 405


def test_a_release_of_the_repository_is_made_known_by_a_signer(server, tmp_path):
    path, bundle = "/api/v1/default/releases", make_bundle(tmp_path / "a.bundle")
    published = releases.publish_bundle(server.root, "default", bundle, "1.2.0")
    release = {"name": published.name, "version": "1.2.0"}
    with server.database.write() as connection:
        token = tenants.add_operator(connection, server.clock(), "test", "anna", "operator")
    assert server.operator(token).post(path, json=release).status_code == 403
    assert server.admin.post(path, json={"name": published.name}).status_code == 400
    missing = server.admin.post(path, json=release | {"version": "1.3.0"})
    assert (missing.status_code, "it has 1.2.0" in missing.json()["detail"]) == (404, True)
    file = Repository(server.root / "repository").bundle_path(published)
    file.rename(tmp_path / "away")
    damaged = server.admin.post(path, json=release)
    assert (damaged.status_code, str(server.root) in damaged.text) == (409, False)
    (tmp_path / "away").rename(file)
    made = [server.admin.post(path, json=release).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert [r["version"] for r in server.admin.get(path).json()["releases"]] == ["1.2.0"]


def test_devices_are_listed_in_pages(server):
    server.add_devices(5)
    path = "/api/v1/default/devices"
    first = server.admin.get(path, params={"limit": 3}).json()
    assert [d["id"] for d in first["devices"]] == ["device-0", "device-1", "device-2"]
    rest = server.admin.get(path, params={"limit": 3, "after": first["next"]}).json()
    assert ([d["id"] for d in rest["devices"]], rest["next"]) == (["device-3", "device-4"], None)
    assert len(server.admin.get(path, params={"search": "e-4"}).json()["devices"]) == 1
    assert server.admin.get(path, params={"search": "%"}).json()["devices"] == []


def test_the_repository_is_served_and_nothing_beside_it(server, tmp_path):
    bundle = make_bundle(tmp_path / "a.bundle")
    published = releases.publish_bundle(server.root, "default", bundle, "1.2.0")
    known = server.admin.post(
        "/api/v1/default/releases", json={"name": published.name, "version": "1.2.0"}
    )
    assert known.status_code == 201
    row = known.json()
    assert (row["target"], row["sha256"]) == (published.target, published.digest)
    assert row["minimum"]["agent"] == "0.1.0"
    (tmp_path / "trust").mkdir()
    root = (server.root / "repository" / "metadata" / "1.root.json").read_bytes()
    client = RepositoryClient(f"{server.address}/default/tuf", root, tmp_path / "trust", Limits())
    assert [offer.version for offer in client.releases(published.name).values()] == ["1.2.0"]
    tuf = f"{server.address}/default/tuf"
    for path in (
        "/.lock", "/metadata/../../fleet.db", "/metadata/%2e%2e/%2e%2e/fleet.db", "/metadata",
        "/targets/..%2f..%2ffleet.db", "/keys/root.pem", "/metadata/.x", "/draft/2.root.json",
    ):  # fmt: skip
        assert httpx.get(tuf + path, timeout=60).status_code == 404, path


def test_times_between_polls_are_times_of_day():
    assert [sleep(s) for s in (30, 300, 3661, 86_399)] == [
        "00:00:30", "00:05:00", "01:01:01", "23:59:59",
    ]  # fmt: skip


def test_the_commands_and_a_server_process(tmp_path, capsys):
    root = tmp_path / "fleet"

    def fleet(*arguments: str, code: int = 0):
        given = parse(["fleet", *arguments, "--root", str(root), "--json"])
        assert main(given) == code
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else said.err

    assert "there is no fleet" in fleet("device", "list", code=1)
    tokens = fleet("init")
    image = tmp_path / "image.swu"
    image.write_bytes(b"image")
    fleet("release", "add", str(image), "--name", "os", "--version", "2.0.0")
    command = [sys.executable, "-m", "fleet", "serve", "--root", str(root), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1].rstrip("/")
        headers = {"Authorization": f"GatewayToken {tokens['gateway_token']}"}
        device = f"{address}/default/controller/v1/cam"
        assert httpx.get(device, headers=headers, timeout=60).status_code == 200
        create = ("rollout", "create", "os==2.0.0", "--canary-devices", "cam", "--waves", "100")
        rollout = str(fleet(*create)["id"])
        assert fleet("rollout", "start", rollout)["state"] == "running"
        end = time.monotonic() + 60
        while "deploymentBase" not in (
            found := links(httpx.get(device, headers=headers, timeout=60))
        ):
            assert time.monotonic() < end, found
            time.sleep(0.05)
        base = found["deploymentBase"].partition("?")[0]
        said = {"status": {"execution": "closed", "result": {"finished": "failure"}}}
        assert (
            httpx.post(f"{base}/feedback", json=said, headers=headers, timeout=60).status_code
            == 200
        )
        status = fleet("rollout", "status", rollout, code=3)
        assert (status["state"], status["groups"][0]["error"]) == ("halted", 1)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert fleet("device", "list")["devices"][0]["seen"] is not None
    assert fleet("audit")["entries"][0]["what"] == "rollout halted"


def test_a_pipeline_follows_what_it_released(tmp_path, capsys):
    """What the hook of a schedule runs after each run, whether that released anything or not."""
    root = tmp_path / "fleet"

    def fleet(*arguments: str, code: int = 0):
        assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == code
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else said.err

    def follow(code: int = 0):
        group = ("--canary-devices", "lab", "--waves", "100")
        return fleet("rollout", "follow", "model", *group, code=code)

    fleet("init")
    fleet("device", "add", "lab")
    assert "no such release" in follow(1)
    bundle = make_bundle(tmp_path / "a.bundle")
    published = Repository(root / "repository").publish(
        "model", bundle, "1.2.0", "keyword_spotting"
    )
    assert "no device is in its first group" in follow(1)
    assert fleet("release", "list")["releases"] == []
    with (
        contextlib.closing(Database(default_url(root))) as database,
        database.write() as connection,
    ):
        told = {"agent": "9.0", "tflite_runtime": "2.14.0"}
        devices.set_attributes(connection, 1, told, "merge")
    first = follow()
    assert (first["new"], first["state"]) == (True, "running")
    assert first["release"] == {"name": "model", "version": published.version}
    again = follow()
    assert (again["new"], again["id"]) == (False, first["id"])


def test_following_goes_on_where_it_was_interrupted(tmp_path, capsys, monkeypatch):
    root = tmp_path / "fleet"

    def fleet(*arguments: str, code: int = 0):
        assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == code
        return json.loads(capsys.readouterr().out or "null")

    def killed(*_arguments):
        raise KeyboardInterrupt

    fleet("init")
    fleet("device", "add", "lab")
    with (
        contextlib.closing(Database(default_url(root))) as database,
        database.write() as connection,
    ):
        told = {"agent": "9.0", "tflite_runtime": "2.14.0"}
        devices.set_attributes(connection, 1, told, "merge")
    bundle = make_bundle(tmp_path / "a.bundle")
    Repository(root / "repository").publish("model", bundle, "1.2.0", "keyword_spotting")
    follow = ("rollout", "follow", "model", "--canary-devices", "lab", "--waves", "100")
    with monkeypatch.context() as patched:
        patched.setattr("fleet.control.rollouts.start", killed)
        fleet(*follow, code=130)
    (waiting,) = fleet("rollout", "list")["rollouts"]
    assert waiting["state"] == "ready"
    done = fleet(*follow)
    assert (done["id"], done["new"], done["state"]) == (waiting["id"], True, "running")
    assert fleet(*follow)["new"] is False
    number = str(done["id"])
    fleet("rollout", "pause", number)
    with monkeypatch.context() as patched:
        patched.setattr("fleet.control.rollouts.resume", killed)
        fleet("rollout", "resume", number, code=130)
    paused = fleet(*follow)
    assert (paused["new"], paused["state"]) == (False, "paused")
    assert "a resume by" in paused["reason"]


def test_following_starts_nothing_that_a_person_has_yet_to_start(tmp_path, capsys):
    root = tmp_path / "fleet"

    def fleet(*arguments: str):
        assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == 0
        return json.loads(capsys.readouterr().out)

    fleet("init")
    bundle = make_bundle(tmp_path / "a.bundle")
    fleet("release", "add", str(bundle))
    (release,) = fleet("release", "list")["releases"]
    name = f"{release['name']}=={release['version']}"
    made = fleet("rollout", "create", name)
    followed = fleet("rollout", "follow", release["name"])
    assert (followed["id"], followed["new"], followed["state"]) == (made["id"], False, "ready")


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, set[str]]]:
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for actions in inner:
        for word, each in actions.choices.items():
            yield from _commands(each, f"{name} {word}")
    if not inner:
        yield name, set(parser._option_string_actions)


def test_every_command_speaks_json():
    commands = dict(_commands(make_parser(), "fleet"))
    assert len(commands) > 30
    assert [name for name, options in commands.items() if "--json" not in options] == []


def test_keys_are_told_as_json(tmp_path, capsys):
    def keys(*arguments: str, code: int = 0):
        assert main(parse(["fleet", "keys", *arguments, "--json"])) == code
        return json.loads(capsys.readouterr().out)

    place = ("--repository", str(tmp_path / "repository"))
    assert keys("init", *place)["root"].endswith("metadata/1.root.json")
    anna = str(tmp_path / "anna.pem")
    assert keys("new", anna) == {"file": anna, "public": f"{anna}.pub"}
    assert keys("rotate", "timestamp", *place) == {"root": 2, "waits": False}
    waits = keys("add", "root", "--public", f"{anna}.pub", "--threshold", "2", *place, code=3)
    assert (waits["waits"], waits["missing"]) == (True, {"former": 0, "own": 1})
    assert keys("sign", waits["draft"], "--key", anna)["signed_by"] in waits["unsigned"]
    assert keys("sign", *place) == {"root": 3, "waits": False}
    assert len(keys("delegate", "pumps", *place)["key"]) == 64


@pytest.mark.parametrize(
    ("canary", "groups"),
    [("1", ["canary", "wave-1", "wave-2"]), ("30", ["canary", "wave-1"]), ("100", ["canary"])],
)
def test_the_waves_that_nobody_named_follow_the_canary(tmp_path, capsys, canary, groups):
    root = ("--root", str(tmp_path / "fleet"))
    image = tmp_path / "image.swu"
    image.write_bytes(b"image")
    for command in (
        ("init",),
        ("release", "add", str(image), "--name", "os", "--version", "1.0.0"),
        ("rollout", "create", "os==1.0.0", "--canary", canary),
    ):
        assert main(parse(["fleet", *command, *root, "--json"])) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [group["name"] for group in made["groups"]] == groups
    assert main(parse(["fleet", "rollout", "start", "1", *root])) == 1
    assert "no device has come yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rollout", "create", "os==1.0.0", "--not-before", "soon"), "give a time such as"),
        (("rollout", "create", "os==1.0.0", "--not-after", "0001-01-01"), "give a time such as"),
        (("serve", "--device-rate", "many"), "give 0 to 1,000,000"),
        (("serve", "--device-rate", "nan"), "give 0 to 1,000,000"),
        (("device", "list", "--limit", "-1"), "give a whole number"),
        (("audit", "--limit", "1.5"), "give a whole number"),
    ],
)
def test_what_an_option_takes_is_told(capsys, arguments, said):
    with pytest.raises(SystemExit) as refused:
        parse(["fleet", *arguments, "--root", "var"])
    assert (refused.value.code, said in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("days", ["-1", "0", "nan", "inf"])
def test_a_token_counts_for_a_while_that_ends(tmp_path, capsys, days):
    root = ("--root", str(tmp_path / "fleet"))
    assert main(parse(["fleet", "init", *root])) == 0
    add = ("tenant", "operator-add", "anna", "--role", "viewer", "--days", days)
    assert main(parse(["fleet", *add, *root])) == 1
    assert "days: give a number" in capsys.readouterr().err


def test_what_a_new_operator_gets_wrong_is_told(tmp_path, capsys):
    root = tmp_path / "fleet"
    image = tmp_path / "image.swu"
    image.write_bytes(b"image")

    def fleet(*arguments: str, code: int = 0) -> str:
        assert main(parse(["fleet", *arguments, "--root", str(root)])) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    fleet("init")
    assert "holds a fleet already" in fleet("init", code=1)
    assert "no devices" in fleet("device", "list")
    assert "no rollouts yet" in fleet("rollout", "list")
    assert "--name and --version" in fleet("release", "add", str(image), code=1)
    fleet("release", "add", str(image), "--name", "os", "--version", "2.0.0")
    assert "its versions are 2.0.0" in fleet("rollout", "create", "os", code=1)
    assert "os, without a version" in fleet("release", "register", "os", code=1)
    missing = str(tmp_path / "plan.json")
    assert missing in fleet("rollout", "create", "os==2.0.0", "--plan", missing, code=1)
    fleet("device", "add", "cam")
    fleet("rollout", "create", "os==2.0.0")
    back = ("rollout", "rollback", "1", "--to", "os==2.0.0")
    assert "touched no device" in fleet(*back, code=1)
    assert "give --poll" in fleet("tenant", "change", "default", code=1)
    with (
        contextlib.closing(Database(default_url(root))) as database,
        database.write() as connection,
    ):
        devices.set_attributes(connection, 1, {"hardware": "pi-4"}, "merge")
    shown = fleet("device", "show", "cam")
    assert "never polled" in shown
    assert "hardware=pi-4" in shown
    fleet("tenant", "operator-add", "anna", "--role", "viewer", "--only", "default", "--days", "2")
    admin, anna = sorted(fleet("tenant", "operator-list").splitlines()[-2:])
    assert admin == "admin  signer  in all tenants"
    assert anna.startswith("anna  viewer  in default  until ")


def test_a_reader_that_goes_away_is_no_error(tmp_path, capsys):
    root = str(tmp_path / "fleet")
    assert main(parse(["fleet", "init", "--root", root])) == 0
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "fleet", "tenant", "list", "--root", root],
            cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")

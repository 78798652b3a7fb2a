"""The API's description, and what schemathesis makes of it over a server process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from fleet.__main__ import main
from fleet.command_line import parse
from fleet.rollout.plan import Plan
from fleet.server.schemas import of_dataclass
from tests.fixtures.fleet_process import serving
from tests.fixtures.fleet_server import RunningFleet

# Ours alone: what no schema can say of a plan or of telemetry is refused with 400, and a report of an
# action that another case has ended with 410.
_SETTINGS = """
[auth.openapi.operator]
bearer = "{admin_token}"
[auth.openapi.device]
api_key = "GatewayToken {gateway_token}"
[parameters]
"path.tenant" = "default"
"path.controller" = "cam"
"path.device" = "cam"
"path.rollout" = 1
"path.action" = 1
"path.module" = 1
"path.file" = "image.swu"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "410"]
[[operations]]
include-path-regex = "rollouts$|telemetry$"
checks.positive_data_acceptance.enabled = false
[[operations]]
include-path-regex = "feedback$|AutoConfirm$|configData$"
parameters = {{ "path.controller" = "bee", "path.action" = 2 }}
"""


def test_the_description_is_served_and_names_what_there_is(server: RunningFleet) -> None:
    said = server.admin.get("/openapi.json").json()
    assert said["openapi"] == "3.1.0"
    named = {f"{method} {path}" for path, at in said["paths"].items() for method in at}
    assert {
        "get /{tenant}/controller/v1/{controller}",
        "post /{tenant}/controller/v1/{controller}/deploymentBase/{action}/feedback",
        "get /{tenant}/tuf/{path}",
        "post /api/v1/{tenant}/rollouts/{rollout}/{verb}",
        "post /api/v1/{tenant}/rollouts/{rollout}/rollback",
        "get /metrics",
    } <= named
    steer = said["paths"]["/api/v1/{tenant}/rollouts/{rollout}/{verb}"]["post"]
    assert (steer["security"], steer["summary"][:15]) == ([{"operator": []}], "For operators: ")


def test_a_plan_is_described_by_its_fields() -> None:
    schema = of_dataclass(Plan)
    group = schema["properties"]["groups"]["items"]
    assert (schema["required"], group["required"]) == (["groups"], ["name"])
    assert group["properties"]["devices"] == {"type": "array", "items": {"type": "string"}}
    assert schema["properties"]["not_after"]["anyOf"][1] == {"type": "null"}


def _fleet(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main(parse(["fleet", *arguments, "--root", str(root), "--json"])) == 0
    return json.loads(capsys.readouterr().out)


def _search(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
    """Runs schemathesis against a server with two devices, each with an action."""
    root = tmp_path / "fleet"
    tokens = _fleet(root, capsys, "init")
    image = tmp_path / "image.swu"
    image.write_bytes(b"image" * 1000)
    for version in ("1.0.0", "1.1.0"):
        _fleet(root, capsys, "release", "add", str(image), "--name", "os", "--version", version)
    for name in ("cam", "bee"):
        _fleet(root, capsys, "device", "add", name)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"groups": [{"name": "all", "percent": 100}]}))
    _fleet(root, capsys, "rollout", "create", "os==1.0.0", "--plan", str(plan))
    assert _fleet(root, capsys, "rollout", "start", "1")["state"] == "running"
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(_SETTINGS.format(**tokens))
    headers = {"Authorization": f"GatewayToken {tokens['gateway_token']}"}
    with serving(root) as address:
        for name in ("cam", "bee"):
            poll = f"{address}/default/controller/v1/{name}"
            while "deploymentBase" not in httpx.get(poll, headers=headers, timeout=60).text:
                time.sleep(0.1)
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run",
            f"{address}/openapi.json", "--no-color", "--continue-on-failure",
            *arguments,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=3600)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_no_request_gets_an_answer_that_is_not_described(tmp_path, capsys):
    _search(tmp_path, capsys, "--phases", "fuzzing", "--max-examples", "3", "--seed", "1")


@pytest.mark.fuzz
def test_no_request_among_many_gets_an_answer_that_is_not_described(tmp_path, capsys):
    _search(tmp_path, capsys, "--phases", "coverage,fuzzing,stateful", "--max-examples", "200")

"""Updates in the field, in real processes: by delta, rolled back, killed at every step."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from edge_agent.__main__ import main
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import Budget, Golden
from edge_agent.command_line import parse
from edge_agent.commands import device_arguments
from edge_agent.update import errors, proof
from fleet.repository.root_keys import RootKeys
from tests.fixtures import dying_agent
from tests.fixtures.field import ENVIRONMENT, TOP, Field, served

BAD = Golden(inputs="golden_inputs.npy", outputs="check_codes.npy", tolerance={"litert": 7})
DYING = (dying_agent.__name__,)


@pytest.fixture
def field(tmp_path) -> Field:
    return Field(tmp_path)


def test_v1_v2_by_delta_keys_rotated_v3_bad_v4_mends_it(field):
    with served(field):
        field.publish(1)
        first = field.update()
        assert (first["from"], first["to"], first["state"]) == (None, "1.0.0", "committed")
        assert not first["delta"], "nothing was here that could have given a part"
        field.publish(2)
        second = field.update()
        assert (second["from"], second["to"], second["state"]) == ("1.0.0", "1.0.1", "committed")
        assert second["delta"]
        assert 0 < second["bytes_downloaded"] < (field.folder / "2.bundle").stat().st_size / 4
        for role in ("root", "timestamp"):
            RootKeys(field.repository.folder, clock=lambda: datetime.now(UTC)).rotate(role)
        field.publish(3, golden=BAD)
        third = field.update(code=1)
        assert (third["from"], third["to"], third["state"]) == ("1.0.1", "1.0.1", "rolled back")
        assert "does not pass its self-test" in third["last_error"]
        again = field.update(code=1)
        assert again["bytes_downloaded"] == 0, "what failed is not fetched again"
        assert "not tried again" in again["last_error"]
        field.publish(4)
        fourth = field.update()
        assert (fourth["from"], fourth["to"], fourth["state"]) == ("1.0.1", "1.0.3", "committed")
    status = field.status()
    assert (status["version"], status["slot"], status["state"]) == ("1.0.3", "a", "committed")
    assert (status["last_error"], status["candidate"]) == (None, None)
    (failed,) = status["failed"]
    assert failed["version"] == "1.0.2"
    assert archive.read(status["bundle"]).digest == status["digest"]


def test_nothing_newer_is_no_error(field):
    field.publish(1)
    field.update()
    told = field.update()
    assert (told["from"], told["to"], told["bytes_downloaded"]) == ("1.0.0", "1.0.0", 0)
    assert told["state"] == "idle"


def test_a_bundle_beyond_its_budget_is_rolled_back(field):
    field.publish(1)
    field.update()
    field.publish(2, budget=Budget(latency_ms=1e-6, memory_bytes=10**9))
    assert "its budget is 1e-06 ms" in field.update(code=1)["last_error"]
    field.publish(3, budget=Budget(latency_ms=1000.0, memory_bytes=10**6))
    assert "bytes of memory here, and its budget is 1000000" in field.update(code=1)["last_error"]
    assert field.status()["version"] == "1.0.0"


def test_an_unreachable_server_is_left_soon_with_what_to_check(field):
    field.publish(1)
    field.update()
    field.address = "http://127.0.0.1:9"
    begun = time.monotonic()
    done = field.agent("update-once", "--config", field.config())
    assert time.monotonic() - begun < 15
    assert done.returncode == 1
    assert "check the address, this device's network" in done.stderr
    assert field.status()["version"] == "1.0.0"


def test_it_says_in_words_what_runs(field, capsys):
    field.publish(1)
    words = ["edge_agent", "update-once", "--config", str(field.config())]
    told = []
    for _ in range(2):
        assert main(parse(words)) == 0
        told.append(capsys.readouterr().out)
    assert told[0].startswith("committed: 1.0.0 runs; ")
    assert told[1] == "idle: 1.0.0 runs; 0 bytes fetched\n"


def test_an_updater_loads_neither_what_signs_nor_what_runs_models(field, monkeypatch):
    field.publish(1)
    for name in ("boto3", "hvac"):  # installed for others: securesystemslib loads what it finds
        (field.folder / f"{name}.py").write_text("raise SystemExit('loaded what signs')")
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", f"{field.folder}{os.pathsep}{TOP}")
    agent = ("-X", "importtime", "-m", "edge_agent", "update-once", "--config", field.config())
    done = subprocess.run(
        [sys.executable, *agent],
        cwd=TOP, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "committed" in done.stdout, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"securesystemslib.signer", "edge_agent.bundle.delta"} <= loaded
    assert not loaded & {"edge_agent.selftest", "edge_agent.keyword", "edge_agent.pictures"}


def test_what_is_wrong_with_the_configuration_is_said(field, capsys, monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    field.publish(1)
    path = field.config()
    for text, words in {
        '[repositry]\nurl = "x"': "repositry: is not known: do you mean repository?",
        '[repository]\nurl = "x"\nreleases = "y"': "repository.releases: is not known: do you mean",
        "[repository]\nurl = 7": "repository.url: expected str",
        "[device]": "repository: is missing",
        "[": "not TOML",
        '[repository]\nurl = "x"\n[update]\nrate_limit = 0': "rate_limit must be at least 1",
        '[repository]\nurl = "x"': "no device folder",
        '[device]\nroot = "d"\n[repository]\nurl = "nowhere"': "no such folder",
        f'[device]\nroot = "d"\n[repository]\nurl = "{field.address}"': "no root is trusted here",
    }.items():
        path.write_text(text)
        assert main(parse(["edge_agent", "update-once", "--config", str(path)])) == 1
        assert words in capsys.readouterr().err
    assert main(parse(["edge_agent", "status", "--root", str(field.folder / "none")])) == 1


def test_status_without_a_word_on_where_is_of_this_device(field, capsys, monkeypatch):
    field.publish(1)
    field.update()
    monkeypatch.setenv("STATE_DIRECTORY", str(field.device))
    assert main(parse(["edge_agent", "status", "--json"])) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "1.0.0"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(device_arguments, "INSTALLED", field.folder / "none")
    assert main(parse(["edge_agent", "status"])) == 1
    assert "give --config or --root" in capsys.readouterr().err


def killed(field: Field, step: int, moment: str) -> bool:
    """An update is killed at `step`; the device runs a whole bundle, and the next update ends well.

    Returns:
        Whether there was such a step.
    """
    device = field.folder / f"device-{step}-{moment}"
    shutil.copytree(field.device, device, symlinks=True)
    done = field.agent(
        step, moment, "update-once", "--config", field.config(device), "--json", module=DYING
    )
    if done.returncode != -signal.SIGKILL:
        assert json.loads(done.stdout)["state"] == "committed"
        return False
    before = archive.read(device / "current/release.bundle").digest
    assert before in {archive.read(field.folder / f"{n}.bundle").digest for n in (1, 2)}
    whole = sum(path.stat().st_size for path in field.folder.glob("2.bundle"))
    told = field.update(device)
    status = field.status(device)
    assert status["version"] == told["to"] == "1.0.1"
    assert status["failed"] == []
    assert told["bytes_downloaded"] <= whole, "at most one extra download"
    assert archive.read(device / "current/release.bundle").digest == status["digest"]
    assert not list(device.rglob(".*.part"))
    shutil.rmtree(device)
    return True


@pytest.fixture(scope="module")
def two_releases(tmp_path_factory) -> Field:
    """A device that runs the first of two releases, for tests that work on copies of it."""
    field = Field(tmp_path_factory.mktemp("field"))
    field.publish(1)
    field.update()
    field.publish(2)
    return field


# A slice: `make soak` kills before and after every step.
@pytest.mark.parametrize(("step", "moment"), [(6, "enter"), (8, "leave"), (10, "leave")])
def test_killed_in_each_phase_it_detects_and_goes_on(two_releases, step, moment):
    assert killed(two_releases, step, moment)


@pytest.mark.soak
@pytest.mark.parametrize("moment", ["enter", "leave"])
def test_killed_before_and_after_every_step_it_detects_and_goes_on(
    two_releases, moment, record_property
):
    step = 1
    while killed(two_releases, step, moment):
        step += 1
    assert step == 13, "an update has twelve steps"
    record_property("tried", step - 1)


def test_a_bundle_whose_updater_dies_again_and_again_is_refused(field):
    field.publish(1)
    field.update()
    field.publish(2)
    for step, moment in ((10, "leave"), (3, "enter"), (3, "enter")):
        words = (step, moment, "update-once", "--config", field.config())
        done = field.agent(*words, module=DYING)
        assert done.returncode == -signal.SIGKILL, done.stderr
    told = field.update(code=1)
    assert "died 3 times while trial" in field.status()["failed"][0]["reason"]
    assert (told["to"], told["state"]) == ("1.0.0", "idle")


def test_a_killed_self_test_does_not_blame_the_bundle(tmp_path, monkeypatch):
    """The system may kill it for want of memory that another process took."""
    python = tmp_path / "python"
    python.touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(python))
    for script, error, words in (
        ("kill -9 $$", errors.StorageError, "killed from outside"),
        ("kill -SEGV $$", errors.RefusedError, r"crashed here \(SIGSEGV\)"),
        ("echo what >&2; exit 3", errors.RefusedError, "ended with 3 here: what"),
    ):
        python.write_text(f"#!/bin/sh\n{script}\n")
        with pytest.raises(error, match=words):
            proof.prove(tmp_path / "any.bundle")

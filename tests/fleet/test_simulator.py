"""Simulated devices over real HTTP: a good release, a bad one, and a server that breaks its rules."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.control import tenants
from fleet.rollout import engine
from fleet.simulator.device import Behaviour
from fleet.simulator.simulation import Setting, simulate, standard_plan
from tests.fixtures.processes import is_running

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(server):
    """Simulates 150 devices that fare as is said."""
    server.release("1.0.0")
    with server.database.write() as connection:
        token = tenants.add_operator(connection, server.clock(), "test", "simulator", "operator")

    def run(**behaviour: float):
        setting = Setting(
            url=server.address,
            operator_token=token,
            gateway_token=server.gateway_token,
            release=("model", "1.0.0"),
            devices=150,
            canary_share=0.1,
            connections=8,
            behaviour=Behaviour(**behaviour),
        )
        return asyncio.run(
            simulate(setting, standard_plan(2700.0 if "drift" in behaviour else 0.0))
        )

    return run


def test_a_good_release_reaches_everybody_who_talks(run):
    told = run(failure_rate=0.01, silent_rate=0.01)
    assert told["violations"] == []
    assert told["rollout"]["state"] == "finished"
    assert sum(group["touched"] for group in told["rollout"]["groups"]) == 150
    assert told["outcomes"]["success"] > 135


def test_a_model_that_is_bad_in_the_field_halts_in_the_first_wave(run):
    told = run(failure_rate=0.0, silent_rate=0.0, bad_rate=1.0)
    assert told["violations"] == []
    assert told["rollout"]["state"] == "halted"
    canary, first, second = told["rollout"]["groups"]
    assert (canary["success"], canary["error"]) == (15, 0)
    assert first["touched"] <= standard_plan().groups[1].exposure
    assert second["touched"] == 0


def test_a_model_that_works_and_fires_too_often_halts_in_the_canary(run):
    told = run(failure_rate=0.0, silent_rate=0.0, drift=6.0)
    assert told["violations"] == []
    assert told["rollout"]["state"] == "halted"
    assert told["rollout"]["reason"].startswith("quality: trigger_rate is ")
    assert [group["touched"] for group in told["rollout"]["groups"]] == [15, 0, 0]


def test_one_that_does_as_before_reaches_everybody(run):
    told = run(failure_rate=0.0, silent_rate=0.0, drift=1.0)
    assert told["violations"] == []
    assert told["rollout"]["state"] == "finished"


def test_devices_that_all_fall_silent_halt_it_too(run):
    told = run(failure_rate=0.0, silent_rate=1.0)
    assert told["violations"] == []
    assert told["rollout"]["state"] == "halted"
    assert told["rollout"]["groups"][0]["timed_out"] == 15


def test_a_server_that_goes_on_after_a_halt_is_found_out(run, monkeypatch):
    proper = engine.allowance

    def careless(plan, rollout, index, count, now):
        halted = rollout.state is engine.RolloutState.HALTED
        return count.untouched if halted else proper(plan, rollout, index, count, now)

    monkeypatch.setattr(engine, "allowance", careless)
    monkeypatch.setattr("fleet.control.standing.LIVE", tuple(engine.RolloutState))
    monkeypatch.setattr("fleet.server.rooms.LIVE", tuple(engine.RolloutState))
    told = run(failure_rate=1.0, silent_rate=0.0)
    assert "devices were touched after the halt" in " ".join(told["violations"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
def test_its_server_does_not_outlive_it(number):
    command = [sys.executable, "-m", "fleet", "simulate", "--devices", "20000"]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        until = time.monotonic() + 60
        while not (server := children.read_text().split()) and time.monotonic() < until:
            time.sleep(0.1)
        (server_id,) = server
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        until = time.monotonic() + 60
        while is_running(int(server_id)) and time.monotonic() < until:
            time.sleep(0.1)
        assert not is_running(int(server_id))
        assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
        assert "Traceback" not in said
    finally:
        process.kill()
        process.wait()


def test_its_server_says_nothing_of_a_folder_that_went_before_it_began(tmp_path):
    command = [sys.executable, "-m", "fleet.simulator.served", str(tmp_path / "gone")]
    done = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_command_brings_its_own_server():
    command = [sys.executable, "-m", "fleet", "simulate", "--devices", "20", "--json"]
    command += ["--failure-rate", "0", "--silent-rate", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["violations"], told["rollout"]["state"]) == ([], "finished")

"""The agent under a fleet server that is a process of its own: hawkBit's DDI, and TUF for what may run."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_agent.__main__ import main
from edge_agent.command_line import parse
from edge_agent.update.machine import RESTING, Kept, step
from edge_agent.update.memory import Phase
from edge_agent.update.slots import DeviceFolder
from fleet.repository.root_keys import RootKeys
from tests.edge_agent.test_daemon import Place
from tests.edge_agent.test_probation import NOISES
from tests.edge_agent.test_update_once import BAD
from tests.fixtures.bundles import always_firing_bundle
from tests.fixtures.daemons import PATIENCE_S, daemon, write_config
from tests.fixtures.fleet_field import FleetField


@pytest.fixture
def field(tmp_path):
    made = FleetField(tmp_path)
    yield made
    made.kill()


def told(field) -> list[tuple[str, str]]:
    """Execution and result of all that the device said of its newest action."""
    return [(said["execution"], said["finished"]) for said in field.action()["reports"]]


def reason(field) -> str:
    """The last thing that it said."""
    return field.action()["reports"][-1]["details"][-1]


def test_it_says_what_it_is_installs_what_it_is_shown_and_reports_after_the_commit(field):
    field.update()
    told_of = field.shown()["attributes"]
    assert told_of["hardware"] == "test"
    assert {"agent", "litert"} <= set(told_of)
    field.roll_out(1)
    first = field.update()
    assert (first["from"], first["to"], first["state"]) == (None, "1.0.0", "committed")
    assert first["poll_s"] == 2.0
    assert field.action()["state"] == "success"
    assert told(field) == [
        ("download", "none"), ("downloaded", "none"), ("proceeding", "none"), ("closed", "success"),
    ]  # fmt: skip
    again = field.update()
    assert (again["to"], again["bytes_downloaded"]) == ("1.0.0", 0)
    assert field.shown()["attributes"]["release"] == "keyword_spotting 1.0.0"


def test_a_bundle_that_is_not_fit_is_reported_with_the_reason(field):
    field.update()
    field.roll_out(1, golden=BAD)
    assert field.update(code=1)["state"] == "rolled back"
    assert (field.action()["state"], told(field)[-1]) == ("error", ("closed", "failure"))
    assert "does not pass its self-test" in reason(field)
    field.roll_out_again("keyword_spotting==1.0.0")
    assert field.update(code=1)["bytes_downloaded"] == 0
    assert (field.action()["state"], told(field)) == ("error", [("closed", "failure")])
    assert "failed here before and is not tried again" in reason(field)


def test_a_report_outlives_a_server_that_is_away(field):
    field.update()
    field.roll_out(1)
    field.update("--watched")
    folder = DeviceFolder(field.device)
    field.kill()
    kept, _ = step(folder.memory(), Kept())
    folder.record(kept)
    command = ["edge_agent", "update-once", "--config", str(field.config())]
    assert main(parse(command)) == 1
    assert folder.memory().report.success
    field.start()
    assert told(field)[-1] == ("proceeding", "none")
    field.update()
    assert (field.action()["state"], told(field)[-1]) == ("success", ("closed", "success"))
    assert folder.memory().report is None


def test_what_is_cancelled_on_probation_is_taken_back(field):
    field.update()
    field.roll_out(1)
    field.update()
    rollout = field.roll_out(2)
    field.update("--watched")
    folder = DeviceFolder(field.device)
    assert folder.memory().phase is Phase.PROBATION
    field.cancel(rollout)
    field.update("--watched")
    memory = folder.memory()
    assert (memory.phase, memory.current.version) == (Phase.ROLLED_BACK, "1.0.0")
    assert folder.current() == memory.current.slot
    assert memory.failed == ()
    assert field.action()["state"] == "canceled"


def test_it_consents_and_takes_the_file_from_the_server_where_the_repository_lacks_it(field):
    field.tenant("--confirmation", "required")
    field.update()
    field.roll_out(1)
    mirror = field.folder / "mirror"
    shutil.copytree(field.repository.folder / "metadata", mirror / "metadata")
    done = field.update(repository=str(mirror))
    assert (done["to"], done["state"], done["delta"]) == ("1.0.0", "committed", False)
    assert field.action()["state"] == "success"


def test_an_older_release_is_declined_unless_a_roll_back_is_meant(field):
    field.update()
    field.roll_out(1)
    field.update()
    newer = field.roll_out(2)
    field.update()
    field.roll_out_again("keyword_spotting==1.0.0")
    field.update(code=1)
    assert field.action()["state"] == "error"
    assert "older than 1.0.1, which runs, and no roll-back" in reason(field)
    field.roll_back(newer, "keyword_spotting==1.0.0")
    assert field.update()["to"] == "1.0.0"
    assert field.action()["state"] == "success"


def test_what_is_wrong_with_the_server_or_the_token_is_said(field, capsys):
    path = field.config()
    command = ["edge_agent", "update-once", "--config", str(path)]
    text = path.read_text()
    token = field.folder / "fleet.token"
    for change, words in {
        ("fleet.token", "none.token"): "none.token: cannot be read",
        (field.address, "http://127.0.0.1:9"): "check fleet.url, this device's network",
        ("[fleet]\n", '[fleet]\ntenant = "none"\n'): "HTTP status 40",
        (field.address, "ftp://x"): "must begin with http",
    }.items():
        path.write_text(text.replace(*change))
        assert main(parse(command)) == 1
        assert words in capsys.readouterr().err
    path.write_text(text)
    for content, words in {"a b": "holds no token", "wrong": "check fleet.token_file"}.items():
        token.write_text(content)
        assert main(parse(command)) == 1
        assert words in capsys.readouterr().err


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    os.close(made.microphone)


def test_v1_v2_by_delta_root_rotated_v3_fires_always_and_rolls_back_v4_mends_it(field, place):
    field.update()  # says what it is, so that it is offered something
    field.restart()
    field.roll_out(1)
    assert field.update()["to"] == "1.0.0"

    def settings(probation: int) -> Path:
        """A bad bundle is taken back at once; only a good one needs all of the time."""
        words = (f"probation = {probation}", "[keyword]", 'source = "microphone"')
        return write_config(field.folder, field.settings("[update]", *words))

    with daemon(settings(4)) as running:
        field.restart()
        second = field.release(2)
        (whole,) = (field.repository.folder / "targets").rglob("*-1.0.1.bundle")
        whole.unlink()  # so only the delta leads there
        field.roll_out_again(second)
        ended(field, running, place, "1.0.1", "success")
        work = told_of_work(field, "1.0.1")
        assert work["hours"] > 0
        assert (work["triggers"] >= 0, work["anomalies"], work["crashes"]) == (True, None, 0)
        for role in ("root", "timestamp"):
            RootKeys(field.repository.folder, clock=lambda: datetime.now(UTC)).rotate(role)
        field.restart()
        settings(60)
        running.reload()
        field.roll_out(3, make=always_firing_bundle)
        ended(field, running, place, "1.0.2", "error")
        assert "on probation: it fired" in reason(field)
        field.restart()
        settings(4)
        running.reload()
        field.roll_out(4)
        ended(field, running, place, "1.0.3", "success")
        told_of_work(field, "1.0.3")
        assert running.end() == 0
    memory = DeviceFolder(field.device).memory()
    assert (memory.phase, memory.current.version) == (Phase.COMMITTED, "1.0.3")
    assert [failure.version for failure in memory.failed] == ["1.0.2"]


def told_of_work(field, version: str):
    """What the device told of its work with `version`, once it did."""
    end = time.monotonic() + PATIENCE_S
    while True:
        told = field.shown()["telemetry"]
        for work in told:
            if work["release"]["version"] == version and work["inferences"]:
                return work
        assert time.monotonic() < end, told
        time.sleep(0.1)


def ended(field, running, place, version: str, state: str) -> None:
    """Waits until the device's newest action is for `version` and has ended in `state`."""
    folder = DeviceFolder(field.device)

    def on_probation(memory) -> bool:
        return memory.phase is Phase.PROBATION and memory.candidate.version == version

    digest = wait(folder, on_probation).candidate.digest
    assert field.action()["ended"] is None, "success is reported after the commit alone"
    running.runs(digest)  # what is said before that, the former bundle hears
    place.say(*NOISES)
    wait(folder, lambda memory: memory.phase in RESTING and memory.report is None)
    action = field.action()
    assert (action["release"]["version"], action["state"]) == (version, state)


def wait(folder, holds):
    """What the device remembers, once `holds` is true of it."""
    end = time.monotonic() + 4 * PATIENCE_S
    while not holds(memory := folder.memory()):
        assert time.monotonic() < end, memory
        time.sleep(0.05)
    return memory

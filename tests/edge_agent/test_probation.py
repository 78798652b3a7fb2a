"""Probation: what a bundle may show, and a daemon in real processes that takes back what shows too much."""

import dataclasses
import json
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.supervisor.probation import Probation
from edge_agent.update.machine import MAX_STARTS, Kept, Prevented, Refused
from edge_agent.update.memory import Phase, Terms
from edge_agent.update.probation import Seen, Usual, judge, most_triggers
from edge_agent.update.slots import DeviceFolder
from tests.edge_agent.test_daemon import Place
from tests.fixtures.bundles import always_firing_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.field import Field, served

TERMS = Terms(triggers_per_hour=10.0, crashes=1, latency_ms=5.0, memory_bytes=10**7)
WELL = Seen(
    ran_s=300.0, waited_s=310.0, heard_s=300.0, triggers=2, usual_per_hour=0.0, inferences=5000,
    latency_s=5.0, added_bytes=10**6, crashes=0, refused=None,
)  # fmt: skip
NOISES = ("_unknown_", "_silence_") * 12


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refused": "no such runtime"}, "refuses it: no such runtime"),
        ({"crashes": 2}, "crashed 2 times, and its envelope allows 1"),
        ({"triggers": 60}, "fired 60 times in 300 s, and 10 an hour"),
        ({"latency_s": 30.0}, "takes 6.0 ms, and its budget is 5 ms"),
        ({"added_bytes": 10**8}, "takes 100000000 bytes of memory"),
    ],
)
def test_what_breaks_its_word_is_refused_with_the_reason(changes, reason):
    verdict = judge(dataclasses.replace(WELL, **changes), TERMS, 600.0)
    assert isinstance(verdict, Refused)
    assert reason in verdict.reason


def test_what_runs_well_for_long_enough_is_kept():
    assert judge(WELL, TERMS, 600.0) is None
    assert judge(WELL, TERMS, 300.0) == Kept()
    assert judge(dataclasses.replace(WELL, crashes=1), TERMS, 300.0) == Kept()


def test_a_bundle_that_cannot_run_is_not_blamed():
    verdict = judge(dataclasses.replace(WELL, ran_s=20.0, waited_s=2400.0), TERMS, 600.0)
    assert isinstance(verdict, Prevented)
    assert "20 of 600 s: see whether its source is there" in verdict.reason


def test_a_bundle_that_hears_nothing_has_proven_nothing():
    assert judge(dataclasses.replace(WELL, heard_s=0.0), TERMS, 300.0) is None


def test_a_first_slow_inference_decides_nothing():
    slow = dataclasses.replace(WELL, inferences=3, latency_s=1.0)
    assert judge(slow, TERMS, 600.0) is None


def test_where_people_speak_all_day_more_is_usual():
    """The envelope was measured on audio without words."""
    spoken = dataclasses.replace(WELL, triggers=40)
    assert isinstance(judge(spoken, TERMS, 600.0), Refused)
    assert judge(dataclasses.replace(spoken, usual_per_hour=400.0), TERMS, 600.0) is None


def test_what_is_usual_is_known_after_ten_minutes_and_of_one_bundle_alone():
    usual = Usual().after("one", 300.0, 50)
    assert usual.per_hour == 0.0
    usual = usual.after("one", 300.0, 50)
    assert usual.per_hour == 600.0
    assert usual.after("other", 300.0, 1).per_hour == 0.0
    assert usual.after("other", 3600.0, 1).per_hour == 1.0


@given(st.floats(0, 5000), st.floats(0, 5000))
def test_more_may_come_where_more_is_expected(one, other):
    low, high = sorted((one, other))
    assert max(8, low) <= most_triggers(low) <= most_triggers(high) <= 12 + high + 6 * high**0.5


@pytest.fixture
def field(tmp_path):
    made = Field(tmp_path)
    made.publish(1)
    with served(made):
        made.update()
        yield made


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    os.close(made.microphone)


def phase(field) -> str:
    return DeviceFolder(field.device).memory().phase.value


def settings(field, *, probation: float) -> str:
    return (
        f'[keyword]\nsource = "microphone"\n[repository]\nurl = "{field.address}"\n'
        f'trusted_root = "root.json"\n[update]\npoll = 1\nprobation = {probation}\n'
    )


def test_one_that_always_fires_is_taken_back_and_the_next_is_kept(field, place):
    bad = field.publish(2, make=always_firing_bundle)
    with daemon(write_config(field.folder, settings(field, probation=60))) as running:
        running.until(lambda told: phase(field) == "probation")
        assert field.status()["version"] == "1.0.1"
        running.runs(bad.digest)  # what is said before that, the former bundle hears
        place.say(*NOISES)
        failed = running.wait("update_failed", "update", state="rolled back")
        assert (failed["from"], failed["to"]) == ("1.0.0", "1.0.0")
        assert "on probation: it fired" in failed["last_error"]
        running.wait("ready", "keyword")
        status = field.status()
        assert status["version"] == "1.0.0"
        assert status["failed"][0]["version"] == "1.0.1"
        write_config(field.folder, settings(field, probation=4))
        running.reload()
        good = field.publish(3)
        running.until(lambda told: phase(field) == "probation")
        running.runs(good.digest)
        place.say(*NOISES)
        updated = running.wait("updated", "update")
        assert (updated["from"], updated["to"], updated["state"]) == ("1.0.0", "1.0.2", "committed")
        assert running.end() == 0
    assert field.status()["state"] == "committed"


def test_a_crash_on_probation_takes_it_back(field, place):
    field.publish(2)
    config = write_config(field.folder, settings(field, probation=600))
    with daemon(config) as running:
        running.until(lambda told: phase(field) == "probation")
        running.end(signal.SIGKILL)
    assert phase(field) == "probation"
    with daemon(config) as running:
        os.kill(running.pid("keyword"), signal.SIGSEGV)
        failed = running.wait("update_failed", "update", state="rolled back")
        assert "crashed once, and its envelope allows 0" in failed["last_error"]
        running.wait("ready", "keyword")


def test_a_bundle_with_which_the_daemon_dies_again_and_again_is_refused(field):
    field.publish(2)
    words = ("update-once", "--config", field.config(), "--watched")
    assert field.agent(*words).returncode == 0
    folder = DeviceFolder(field.device)
    told = []
    for _ in range(MAX_STARTS):
        assert folder.memory().phase is Phase.PROBATION
        Probation(folder, lambda *event: told.append(event), time.monotonic).begin()
    memory = folder.memory()
    assert (memory.phase, folder.current()) == (Phase.ROLLED_BACK, memory.current.slot)
    ((_, event, body),) = told
    assert event == "update_failed"
    assert "the device or its daemon died 3 times with it" in body["last_error"]


def test_a_hand_that_insists_ends_a_probation(field):
    field.publish(2)
    field.publish(3)
    words = ("update-once", "--config", field.config(), "--watched")
    assert field.agent(*words).returncode == 0
    assert phase(field) == "probation"
    words = ("install", "--repository", field.address, "--trusted-root", field.folder / "root.json")
    done = field.agent(*words, "--root", field.device, "--json", "keyword_spotting==1.0.1")
    assert json.loads(done.stdout)["outcome"] == "installed", done.stderr


def test_where_no_daemon_watches_any_more_a_trial_is_enough(field):
    field.publish(2)
    words = ("update-once", "--config", field.config(), "--watched")
    assert field.agent(*words).returncode == 0
    assert field.status()["version"] == "1.0.1"
    told = field.update()
    assert (told["from"], told["to"], told["state"]) == ("1.0.0", "1.0.1", "committed")
    assert told["bytes_downloaded"] == 0, "what lies here is not fetched again"

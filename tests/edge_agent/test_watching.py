"""What the daemon counts of the workload that runs a release, for probation and for the fleet server."""

import dataclasses
from types import SimpleNamespace

import pytest

from edge_agent.supervisor.life import Life, State
from edge_agent.supervisor.probation import Probation
from edge_agent.supervisor.tally import Tally
from edge_agent.update import telemetry
from edge_agent.update.memory import Memory, Phase, Release, Terms
from edge_agent.update.slots import DeviceFolder
from edge_agent.workloads.messages import Counters

RELEASE = Release(name="words", version="1.0.0", digest="d1", slot="a", target="words/x")
NEXT = dataclasses.replace(RELEASE, version="1.0.1", digest="d2", slot="b")
TERMS = Terms(triggers_per_hour=10.0, crashes=0, latency_ms=5.0, memory_bytes=10**7)


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def workload(digest: str, state: State = State.RUNNING, **counters: float):
    return SimpleNamespace(
        name="keyword",
        life=Life(state=state, bundle=SimpleNamespace(digest=digest)),
        counters=Counters(**counters),
        crashes=0,
        adaptation=0.0,
    )


@pytest.fixture
def folder(tmp_path):
    return DeviceFolder.made(tmp_path)


def test_a_workload_that_begins_anew_takes_nothing_back(folder):
    """Removed from agent.toml and put back, it counts from nothing; a server takes no negative report."""
    folder.record(Memory(current=RELEASE))
    clock = Clock()
    tally = Tally(folder, clock)
    first = workload("d1")
    for one, triggers in [(first, 0), (first, 7), (None, 0), (workload("d1"), 0)]:
        clock.now += 1
        if one is not None:
            one.counters = Counters(triggers=triggers, inferences=10 * triggers)
        tally.look(one)
    tally.hand_over()
    (report,) = telemetry.waiting(folder.root)
    assert (report["triggers"], report["inferences"]) == (7, 70)


def test_a_first_bundle_whose_source_was_away_has_its_time_again(folder):
    clock, told = Clock(), []
    probation = Probation(folder, lambda *event: told.append(event), clock)
    on_probation = Memory(phase=Phase.PROBATION, candidate=NEXT, terms=TERMS)
    away = workload("d2", State.WAITING)
    folder.record(on_probation)
    for _ in range(5):
        clock.now += 100
        probation.look(away, 100)
    assert folder.memory().phase is Phase.ROLLED_BACK
    assert "0 of 100 s" in told[-1][2]["last_error"]
    clock.now += 100
    probation.look(away, 100)
    folder.record(on_probation)  # the next update tries it again
    clock.now += 1
    assert not probation.look(away, 100)
    assert folder.memory().phase is Phase.PROBATION


def test_a_bundle_on_probation_is_not_excused_by_a_workload_that_begins_anew(folder):
    clock, told = Clock(), []
    probation = Probation(folder, lambda *event: told.append(event), clock)
    folder.record(Memory(phase=Phase.PROBATION, candidate=NEXT, terms=TERMS))
    probation.look(workload("d2", triggers=1000), 600)
    again = workload("d2")
    for triggers in (0, 30):
        clock.now += 1
        again.counters = Counters(triggers=triggers, input_s=clock.now)
        probation.look(again, 600)
    assert folder.memory().phase is Phase.ROLLED_BACK
    assert "it fired 30 times" in told[-1][2]["last_error"]

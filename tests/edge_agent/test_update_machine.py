"""The update state machine: every event in every phase, and lives cut short at every step."""

import collections
import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_agent.update import machine
from edge_agent.update.machine import MAX_STARTS, RESTING, step
from edge_agent.update.memory import (
    Failure,
    Memory,
    Phase,
    Release,
    Report,
    Terms,
    decode_memory,
    encode,
)
from edge_agent.update.slots import DeviceFolder

UNDER_WAY = (Phase.VERIFYING, Phase.STAGED, Phase.TRIAL)


def release(version: int, slot: str = "") -> Release:
    return Release(
        name="words",
        version=f"1.0.{version}",
        digest=f"{version:064x}",
        slot=slot,
        target=f"t{version}",
    )


TERMS = Terms(triggers_per_hour=10.0, crashes=0, latency_ms=50.0, memory_bytes=10**8)
RELEASES = [release(n) for n in range(2)]
EVENTS = [
    machine.Started(None),
    *(machine.Started(dataclasses.replace(r, slot=s)) for r in RELEASES for s in "ab"),
    machine.Asked(),
    machine.Asked("7"),
    *(machine.Offered(r, insist) for r in RELEASES for insist in (False, True)),
    machine.Downloaded(),
    machine.Verified(),
    machine.Settled(),
    machine.Passed(TERMS),
    machine.Kept(),
    machine.Refused("bad"),
    machine.Prevented("no network"),
    machine.Declined("too old"),
    machine.Deferred("not now"),
    machine.Reported(),
    machine.Watching(None),
    *(machine.Watching(dataclasses.replace(r, slot=s)) for r in RELEASES for s in "ab"),
    machine.Left(),
]
ALONE = (machine.Started, machine.Watching, machine.Reported)


def known(memory: Memory) -> Memory:
    """`memory` without its texts and the order of failures, which decide nothing."""
    failed = sorted({failure.digest for failure in memory.failed})
    return dataclasses.replace(
        memory,
        last_error=None,
        waits=None,
        report=memory.report and dataclasses.replace(memory.report, reason=""),
        failed=tuple(Failure(digest=digest, version="", reason="") for digest in failed),
    )


def reachable() -> dict[Memory, list[tuple[machine.Event, Memory]]]:
    """Every memory that any sequence of events leads to, and where each event leads from there."""
    found: dict[Memory, list[tuple[machine.Event, Memory]]] = {}
    ahead = collections.deque([Memory()])
    while ahead:
        memory = ahead.popleft()
        if memory in found:
            continue
        found[memory] = [(event, known(step(memory, event)[0])) for event in EVENTS]
        ahead.extend(after for _, after in found[memory])
    return found


@pytest.fixture(scope="module")
def graph():
    return reachable()


def test_every_phase_is_reached(graph):
    assert {memory.phase for memory in graph} == set(Phase)
    assert len(graph) > 500


def test_every_event_in_every_state_keeps_the_rules(graph):
    for memory, event in itertools.product(graph, EVENTS):
        after, effects = step(memory, event)
        kinds = [type(effect) for effect in effects]
        if after != memory:
            assert kinds[:1] == [machine.Save], (memory, event)
        assert kinds.count(machine.Save) <= 1
        if after.phase in UNDER_WAY or after.phase is Phase.DOWNLOADING:
            assert after.candidate.slot in ("a", "b")
            assert after.current is None or after.candidate.slot != after.current.slot
        if isinstance(event, machine.Kept) and memory.phase in (Phase.TRIAL, Phase.PROBATION):
            assert after.current == memory.candidate
        elif not isinstance(event, machine.Started):
            same = (r and (r.slot, r.digest) for r in (after.current, memory.current))
            assert len(set(same)) == 1, "the last good release was touched"
        for effect in effects:
            if isinstance(effect, machine.Restore):
                assert effect.release == after.current
            if isinstance(effect, (machine.Flip, machine.Try)):
                assert after.phase in (Phase.TRIAL, Phase.PROBATION)
                assert effect.release == after.candidate
            if isinstance(effect, machine.Download):
                assert event.insist or not after.failure(effect.release.digest)


def test_a_server_is_told_of_success_after_the_commit_alone(graph):
    """And of every action that ended; a report stays until the server has it, or asks for something else."""
    for memory, event in itertools.product(graph, EVENTS):
        after, _ = step(memory, event)
        if after.report != memory.report and after.report is not None:
            assert after.report.action == memory.action
            assert after.action is None
            runs = after.current and after.current.digest
            same = isinstance(event, machine.Offered) and runs == event.release.digest
            kept = isinstance(event, machine.Kept) and after.phase is Phase.COMMITTED
            assert after.report.success == (same or kept)
        elif after.report != memory.report:
            by_hand = isinstance(event, machine.Asked) and event.action is None
            assert isinstance(event, (machine.Reported, machine.Asked))
            assert not by_hand
        if isinstance(event, machine.Refused) and after != memory and memory.action:
            assert not after.report.success
            assert after.report.reason == event.reason


def test_from_every_state_there_is_a_way_back_to_rest(graph):
    """By restarts alone, and by whatever an effect may answer."""
    for memory in graph:
        resting = memory
        for _ in range(MAX_STARTS + 1):
            resting, _ = step(resting, machine.Started(resting.current))
            resting, _ = step(resting, machine.Watching(resting.current))
        assert resting.phase in RESTING
        if memory.phase in (Phase.CHECKING, Phase.DOWNLOADING, *UNDER_WAY, Phase.PROBATION):
            assert step(memory, machine.Prevented("x"))[0].phase in RESTING
    back = {m for m in graph if m.phase in RESTING}
    while len(back) < len(graph):
        more = {m for m, ways in graph.items() if m not in back and any(a in back for _, a in ways)}
        assert more, "some states have no way back"
        back |= more


def test_what_does_not_belong_to_the_phase_changes_nothing(graph):
    answers = {
        Phase.CHECKING: (machine.Offered, machine.Declined, machine.Prevented),
        Phase.DOWNLOADING: (machine.Downloaded, machine.Deferred, machine.Prevented),
        Phase.VERIFYING: (machine.Verified, machine.Refused, machine.Prevented),
        Phase.STAGED: (machine.Settled, machine.Prevented),
        Phase.TRIAL: (
            machine.Passed, machine.Kept, machine.Refused, machine.Prevented, machine.Left
        ),
        Phase.PROBATION: (machine.Kept, machine.Refused, machine.Prevented, machine.Left),
        **dict.fromkeys(RESTING, (machine.Asked,)),
    }  # fmt: skip
    for memory, event in itertools.product(graph, EVENTS):
        if not isinstance(event, (*ALONE, *answers[memory.phase])):
            assert step(memory, event) == (memory, ())


def test_a_bundle_that_kills_the_updater_is_refused_after_a_few_starts():
    for phase in UNDER_WAY:
        memory = Memory(phase=phase, current=release(0, "a"), candidate=release(1, "b"), starts=1)
        for _ in range(MAX_STARTS - 1):
            memory, effects = step(memory, machine.Started(release(0, "a")))
            assert memory.phase is phase
            assert len(effects) > 1
        memory, effects = step(memory, machine.Started(release(0, "a")))
        assert memory.phase is Phase.ROLLED_BACK
        assert effects == (machine.Save(), machine.Restore(release(0, "a")))
        assert f"died {MAX_STARTS} times while {phase.value}" in memory.last_error
        assert memory.failure(release(1).digest)


def test_a_bundle_that_brings_the_device_down_is_refused_without_an_updater():
    """The daemon counts itself before it starts what is on trial or on probation."""
    good, bad = release(0, "a"), release(1, "b")
    for phase in (Phase.TRIAL, Phase.PROBATION):
        memory = Memory(phase=phase, current=good, candidate=bad, terms=TERMS)
        for _ in range(MAX_STARTS):
            memory, effects = step(memory, machine.Watching(bad))
            assert (memory.phase, effects) == (phase, (machine.Save(),))
        memory, effects = step(memory, machine.Watching(bad))
        assert effects == (machine.Save(), machine.Restore(good))
        assert "died 3 times with it" in memory.last_error
        assert step(memory, machine.Watching(bad)) == (memory, (machine.Restore(good),))


def test_restarts_in_peace_do_not_count():
    memory = Memory(phase=Phase.PROBATION, current=release(0, "a"), candidate=release(1, "b"))
    for _ in range(2 * MAX_STARTS):
        memory, _ = step(memory, machine.Watching(release(1, "b")))
        memory, _ = step(memory, machine.Left())
    assert memory.phase is Phase.PROBATION


def test_the_record_of_many_long_failures_can_be_read(tmp_path):
    folder, memory = DeviceFolder.made(tmp_path), Memory(current=release(0, "a"))
    for number in range(40):
        bad = release(number + 1, "b")
        memory = dataclasses.replace(memory, phase=Phase.VERIFYING, candidate=bad, action="7")
        memory, _ = step(memory, machine.Refused("it says a lot. " * 200))
    folder.record(memory)
    assert folder.memory() == memory
    assert len(memory.failed) == 32


def test_a_failed_bundle_is_tried_again_only_when_told_to():
    failure = Failure(digest=release(1).digest, version="1.0.1", reason="always fires")
    memory = Memory(phase=Phase.CHECKING, current=release(0, "a"), failed=(failure,))
    after, effects = step(memory, machine.Offered(release(1)))
    assert (after.phase, effects) == (Phase.IDLE, (machine.Save(),))
    assert "not tried again: always fires" in after.last_error
    after, effects = step(memory, machine.Offered(release(1), insist=True))
    assert after.phase is Phase.DOWNLOADING
    after, effects = step(memory, machine.Offered(release(2)))
    assert after.phase is Phase.DOWNLOADING, "the fix is offered in spite of what failed before"


texts = st.text(max_size=20)
releases = st.builds(
    Release, name=texts, version=texts, digest=texts, slot=st.sampled_from("ab"), target=texts
)
memories = st.builds(
    Memory,
    phase=st.sampled_from(Phase),
    current=st.none() | releases,
    candidate=releases,
    starts=st.integers(0, 9),
    watches=st.integers(0, 9),
    terms=st.just(TERMS),
    failed=st.lists(st.builds(Failure, digest=texts, version=texts, reason=texts), max_size=3).map(
        tuple
    ),
    last_error=st.none() | texts,
    waits=st.none() | texts,
    action=st.none() | texts,
    report=st.none() | st.builds(Report, action=texts, success=st.booleans(), reason=texts),
)


@given(memories)
def test_a_memory_survives_its_file(memory):
    assert decode_memory(encode(memory)) == memory


@given(memories, st.data())
def test_a_damaged_file_is_another_memory_or_none(memory, data):
    text = bytearray(encode(memory))
    for _ in range(3):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    found = decode_memory(bytes(text[: data.draw(st.integers(0, len(text)))]))
    if found is not None:
        for event in EVENTS:
            step(found, event)


@given(st.binary(max_size=60))
def test_any_bytes_are_another_memory_or_none(data):
    assert decode_memory(data) is None


class Died(Exception):
    """The process, or the power, ended here."""


class Lives(RuleBasedStateMachine):
    """A device whose updater dies at any step, over many releases, good and bad.

    The disk holds what `Save`, `Settle`, `Flip` and `Restore` did; all else dies with the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.saved = Memory()
        self.link: str | None = None
        self.slots: dict[str, str] = {}
        self.aside: str | None = None
        self.good: set[str] = set()
        self.made = 0

    @rule(verdict=st.sampled_from([machine.Kept, machine.Refused, machine.Prevented, None]),
          peace=st.booleans(), die_at=st.integers(0, 6))  # fmt: skip
    def watch(self, verdict, peace, die_at):
        """One daemon: it watches a bundle on probation, and perhaps dies."""
        self.left = die_at
        self.full_at = None
        self.memory = self.saved
        try:
            self.feed(machine.Watching(self.running()))
            if self.memory.phase is Phase.PROBATION and verdict is not None:
                good = self.memory.candidate.digest in self.good
                reason = () if verdict is machine.Kept else ("said the daemon",)
                self.feed(verdict(*reason) if good else machine.Refused("always fires"))
            if peace:
                self.feed(machine.Left())
        except Died:
            return

    @rule(good=st.booleans(), watched=st.booleans(), insist=st.booleans(),
          again=st.booleans(), network=st.booleans(),
          full_at=st.sampled_from([None, machine.Verify, machine.Settle, machine.Try]),
          die_at=st.integers(0, 30))  # fmt: skip
    def live(self, good, watched, insist, again, network, full_at, die_at):
        """One process: resumes, asks, and perhaps dies before or after its step `die_at`."""
        if not again or not self.made:
            self.made += 1
            if good:
                self.good.add(release(self.made).digest)
        self.left, self.network, self.insist, self.full_at = die_at, network, insist, full_at
        self.watched = watched
        self.memory = self.saved
        try:
            self.feed(machine.Started(self.running()))
            on_probation = self.memory.phase is Phase.PROBATION
            if on_probation and (insist or not watched):
                self.feed(machine.Prevented("nobody watches"))
            on_probation = self.memory.phase is Phase.PROBATION
            assert self.link is None or on_probation or self.slots[self.link] in self.good
            self.feed(machine.Asked())
        except Died:
            return
        assert self.memory.phase in (*RESTING, Phase.PROBATION)

    def running(self) -> Release | None:
        if self.link is None:
            return None
        for known in (self.memory.current, self.memory.candidate):
            if known and (known.slot, known.digest) == (self.link, self.slots[self.link]):
                return known
        return Release(name="", version="", digest=self.slots[self.link], slot=self.link, target="")

    def feed(self, event):
        while event is not None:
            self.memory, effects = step(self.memory, event)
            event = None
            for effect in effects:
                self.tick()
                event = self.carry_out(effect)
                self.tick()
                if event is not None:
                    break

    def tick(self):
        self.left -= 1
        if self.left == 0:
            raise Died

    def carry_out(self, effect):
        if type(effect) is self.full_at:
            return machine.Prevented("the disk is full")
        match effect:
            case machine.Save():
                self.saved = self.memory
            case machine.Check():
                if not self.network:
                    return machine.Prevented("no network")
                return machine.Offered(release(self.made), insist=self.insist)
            case machine.Download(wanted):
                self.aside = wanted.digest
                return machine.Downloaded()
            case machine.Verify(wanted):
                if self.aside != wanted.digest:
                    return machine.Prevented("gone")
                return machine.Verified()
            case machine.Settle(wanted):
                if self.slots.get(wanted.slot) != wanted.digest:
                    assert wanted.slot != self.link, "the slot that runs was written to"
                    self.slots[wanted.slot], self.aside = self.aside, None
                return machine.Settled()
            case machine.Flip(wanted):
                self.link = wanted.slot
            case machine.Try(wanted):
                if self.watched:
                    return machine.Passed(TERMS)
                good = wanted.digest in self.good
                return machine.Kept() if good else machine.Refused("always fires")
            case machine.Restore(wanted):
                self.link = wanted.slot if wanted else None
        return None

    @invariant()
    def a_bundle_runs_that_is_good_or_on_trial(self):
        """Also at the moment of a death: what `current` names is whole, and proven or on trial."""
        if self.link is not None:
            digest = self.slots[self.link]
            # A death between saving a roll-back and restoring the link: the next start restores it.
            on_trial = self.saved.phase in (Phase.TRIAL, Phase.PROBATION, Phase.ROLLED_BACK)
            assert digest in self.good or (on_trial and digest == self.saved.candidate.digest)

    @invariant()
    def the_last_good_release_is_there(self):
        current = self.saved.current
        if current is not None:
            assert self.slots[current.slot] == current.digest
            assert current.digest in self.good


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)

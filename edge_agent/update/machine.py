"""The update state machine: events in, memory and effects out; it touches nothing itself.

    idle -> checking -> downloading -> verifying -> staged -> trial -> (probation ->) committed
                                                          \\-> rolled back

Rules:

* `step` gives the new memory and what is to be done, in order. Where the memory has changed, `Save`
  stands first: every move is durable before it is acted on. An event that does not belong to the phase
  changes nothing and asks for nothing, so a late or repeated one does no harm.
* The current release is the last good one. Only `Kept`, at the end of a trial or of the probation,
  replaces it; until then neither its slot nor its record is touched. The candidate always goes to the
  other slot.
* A bundle is proven while it lies aside (verifying), moved to its slot (staged), and only then made the
  one that runs, for a trial. What fails in verifying costs no slot.
* Where a daemon watches, `Passed` ends the trial and probation begins: the bundle does its work, the
  updater is gone, and the daemon says `Kept`, `Refused` or `Prevented`. A `Started` updater leaves it
  alone. `Watching` is the first event of every daemon, before it starts what the link names; in a trial
  and in probation it is counted, and taken back by `Left` where the daemon ends in peace. After
  `MAX_STARTS` of them the bundle is refused: a bundle that brings the device down is left even if no
  updater ever gets to run. A daemon also ends a roll-back that was cut before its `Restore`.
* A failure is the bundle's (`Refused`) or the circumstances' (`Prevented`: no network, full disk). The
  first is remembered by digest, and that bundle is not tried again unless the request says so; after
  the second the next request tries again. Either way the last good release runs.
* `Deferred` is nobody's failure: it is not the time, or not the network, for it; the next request asks
  again.
* What a server asked for, under the number of an action, ends in a report: success with `Kept` alone, so
  never before the commit; failure with `Refused`, with the reason, and with `Declined`: what was asked for
  is not to be had here, and no bundle is to blame. The report is recorded with the end itself, and stays
  until `Reported`, or until the server asks for something else. What was `Prevented` or `Deferred` has not
  ended: the server asks again.
* `Started` is the first event of every process. After a death in checking or downloading the machine is
  idle again (what was downloaded is kept, and gone on with). A death in verifying, staged or trial is
  counted and the phase is done again, since each of its steps may be repeated; after `MAX_STARTS` the
  bundle is held to be the cause and is refused: so a bundle that kills the updater, or the device, ends
  the loop it causes.
* `current` on the disk decides what runs. Where it names something else than the memory does, the memory
  follows it; but in a trial, and where one was rolled back, it is the memory that knows.
* From every phase there is a way back to one in which the last good release runs: `Restore` makes the
  link name its slot, whatever it named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from edge_agent.update.memory import Failure, Memory, Phase, Release, Report, Terms

MAX_STARTS = 3
_LONGEST_REASON = (
    500  # characters, so that the record of many failures stays small enough to be read
)
RESTING = frozenset({Phase.IDLE, Phase.COMMITTED, Phase.ROLLED_BACK})


@dataclasses.dataclass(frozen=True)
class Started:
    """The process begins; `running` is what the link names and which digest lies there, if any."""

    running: Release | None


@dataclasses.dataclass(frozen=True)
class Asked:
    """It is time to look for a release; a server asked for it, under the number `action`, or nobody did."""

    action: str | None = None


@dataclasses.dataclass(frozen=True)
class Offered:
    """The repository offers `release` (its slot does not count); `insist` on it if it failed before."""

    release: Release
    insist: bool = False


@dataclasses.dataclass(frozen=True)
class Downloaded:
    """The candidate lies aside, whole, as it was signed."""


@dataclasses.dataclass(frozen=True)
class Verified:
    """The candidate has passed its tests aside."""


@dataclasses.dataclass(frozen=True)
class Settled:
    """The candidate is in its slot."""


@dataclasses.dataclass(frozen=True)
class Passed:
    """The candidate has passed its trial; a daemon holds it to `terms` from here on."""

    terms: Terms


@dataclasses.dataclass(frozen=True)
class Kept:
    """The candidate has passed its trial, or its probation."""


@dataclasses.dataclass(frozen=True)
class Refused:
    """The candidate is at fault."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Prevented:
    """Something else is at fault; another time it may go."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Declined:
    """What is asked for is not to be had here, and will not be."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Reported:
    """The server has taken the report, or does not want it any more."""


@dataclasses.dataclass(frozen=True)
class Deferred:
    """The candidate may not be fetched now."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Watching:
    """A daemon begins; `running` is what the link names, if anything."""

    running: Release | None


@dataclasses.dataclass(frozen=True)
class Left:
    """The daemon ends because it was told to."""


Event = (
    Started | Asked | Offered | Downloaded | Verified | Settled | Passed | Kept | Refused | Prevented
    | Declined | Deferred | Reported | Watching | Left
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Save:
    """Make the memory durable."""


@dataclasses.dataclass(frozen=True)
class Check:
    """Look what the repository offers: `Offered`, `Declined` or `Prevented`."""


@dataclasses.dataclass(frozen=True)
class Download:
    """Fetch `release` aside: `Downloaded`, `Deferred` or `Prevented`."""

    release: Release


@dataclasses.dataclass(frozen=True)
class Verify:
    """Test `release`, which lies aside: `Verified`, `Refused` or `Prevented`."""

    release: Release


@dataclasses.dataclass(frozen=True)
class Settle:
    """Move `release` from aside to its slot, if it is not there yet: `Settled` or `Prevented`."""

    release: Release


@dataclasses.dataclass(frozen=True)
class Flip:
    """Make the slot of `release` the one that runs."""

    release: Release


@dataclasses.dataclass(frozen=True)
class Try:
    """Try `release`, which runs now: `Passed`, `Kept`, `Refused` or `Prevented`."""

    release: Release


@dataclasses.dataclass(frozen=True)
class Restore:
    """Make the last good release the one that runs; for None, let nothing run."""

    release: Release | None


Effect = Save | Check | Download | Verify | Settle | Flip | Try | Restore
Effects = tuple[Effect, ...]


def step(memory: Memory, event: Event) -> tuple[Memory, Effects]:
    """What is known, and to be done, after `event`."""
    if isinstance(event, Started):
        return _started(memory, event.running)
    if isinstance(event, Watching):
        return _watching(memory, event.running)
    if isinstance(event, Reported):
        told = dataclasses.replace(memory, report=None)
        return told, (Save(),) if told != memory else ()
    if isinstance(event, (Refused, Prevented, Declined, Deferred)):
        event = dataclasses.replace(event, reason=event.reason[:_LONGEST_REASON])
    move = _MOVES.get((memory.phase, type(event)))
    return move(memory, event) if move else (memory, ())


def _started(memory: Memory, running: Release | None) -> tuple[Memory, Effects]:
    if memory.phase in (Phase.CHECKING, Phase.DOWNLOADING):
        memory = dataclasses.replace(memory, phase=Phase.IDLE, action=None)
        return _follow(memory, running, changed=True)
    if _half_restored(memory, running):
        return memory, (Restore(memory.current),)
    if memory.phase in RESTING or memory.candidate is None:
        return _follow(memory, running, changed=False)
    if memory.phase is Phase.PROBATION:
        return memory, _flip_unless(running, memory.candidate)
    if memory.starts >= MAX_STARTS:
        reason = f"the device or its updater died {memory.starts} times while {memory.phase.value}"
        return _refused(memory, Refused(reason))
    memory = dataclasses.replace(memory, starts=memory.starts + 1)
    return memory, (Save(), *_AGAIN[memory.phase](memory.candidate))  # type: ignore[arg-type]


def _half_restored(memory: Memory, running: Release | None) -> bool:
    """Whether a death came between the record of a roll-back and the link."""
    moved = running is None or memory.current is None or running.slot != memory.current.slot
    return memory.phase is Phase.ROLLED_BACK and moved


def _watching(memory: Memory, running: Release | None) -> tuple[Memory, Effects]:
    if _half_restored(memory, running):
        return memory, (Restore(memory.current),)
    candidate = memory.candidate
    if memory.phase not in (Phase.TRIAL, Phase.PROBATION) or candidate is None:
        return memory, ()
    if memory.watches >= MAX_STARTS:
        reason = f"the device or its daemon died {memory.watches} times with it"
        return _refused(memory, Refused(reason))
    memory = dataclasses.replace(memory, watches=memory.watches + 1)
    return memory, (Save(), *_flip_unless(running, candidate))


def _left(memory: Memory, event: Left) -> tuple[Memory, Effects]:
    if memory.watches == 0:
        return memory, ()
    return dataclasses.replace(memory, watches=memory.watches - 1), (Save(),)


def _flip_unless(running: Release | None, candidate: Release) -> Effects:
    """Makes `candidate` run, where something else does."""
    runs = running and (running.slot, running.digest) == (candidate.slot, candidate.digest)
    return () if runs else (Flip(candidate),)


def _follow(memory: Memory, running: Release | None, *, changed: bool) -> tuple[Memory, Effects]:
    """Lets the memory follow what the disk says runs."""
    known = memory.current
    same = known and running and (known.slot, known.digest) == (running.slot, running.digest)
    if not same and known != running:
        memory, changed = dataclasses.replace(memory, current=running), True
    return memory, (Save(),) if changed else ()


def _asked(memory: Memory, event: Asked) -> tuple[Memory, Effects]:
    checking = dataclasses.replace(
        memory,
        phase=Phase.CHECKING,
        starts=0,
        waits=None,
        action=event.action,
        report=memory.report if event.action is None else None,
    )
    return checking, (Save(), Check())


def _offered(memory: Memory, event: Offered) -> tuple[Memory, Effects]:
    current = memory.current
    if current and current.digest == event.release.digest:
        same = dataclasses.replace(event.release, slot=current.slot)
        idle = dataclasses.replace(memory, phase=Phase.IDLE, current=same, last_error=None)
        return _ended(idle, success=True, reason="it runs here already"), (Save(),)
    failure = memory.failure(event.release.digest)
    if failure and not event.insist:
        told = (
            f"{event.release.version} failed here before and is not tried again: {failure.reason}"
        )
        return _declined(memory, Declined(told))
    slot = "b" if current and current.slot == "a" else "a"
    candidate = dataclasses.replace(event.release, slot=slot)
    memory = dataclasses.replace(memory, phase=Phase.DOWNLOADING, candidate=candidate)
    return memory, (Save(), Download(candidate))


def _declined(memory: Memory, event: Declined) -> tuple[Memory, Effects]:
    idle = dataclasses.replace(memory, phase=Phase.IDLE, starts=0, last_error=event.reason)
    return _ended(idle, success=False, reason=event.reason), (Save(),)


def _ended(memory: Memory, *, success: bool, reason: str) -> Memory:
    """With the report of the action that has ended, if there was one."""
    if memory.action is None:
        return memory
    report = Report(action=memory.action, success=success, reason=reason)
    return dataclasses.replace(memory, action=None, report=report)


def _onwards(phase: Phase) -> Callable[[Memory, Event], tuple[Memory, Effects]]:
    def move(memory: Memory, event: Event) -> tuple[Memory, Effects]:
        assert memory.candidate is not None  # decode_memory and _offered see to it
        moved = dataclasses.replace(memory, phase=phase, starts=1, watches=0)
        return moved, (Save(), *_AGAIN[phase](memory.candidate))

    return move


def _passed(memory: Memory, event: Passed) -> tuple[Memory, Effects]:
    # The daemon that watches has begun already, and is the first to count.
    return dataclasses.replace(memory, phase=Phase.PROBATION, watches=1, terms=event.terms), (
        Save(),
    )


def _kept(memory: Memory, event: Event) -> tuple[Memory, Effects]:
    committed = dataclasses.replace(
        memory,
        phase=Phase.COMMITTED,
        current=memory.candidate,
        starts=0,
        watches=0,
        last_error=None,
    )
    return _ended(committed, success=True, reason=""), (Save(),)


def _refused(memory: Memory, event: Refused) -> tuple[Memory, Effects]:
    assert memory.candidate is not None
    failure = Failure(
        digest=memory.candidate.digest, version=memory.candidate.version, reason=event.reason
    )
    memory, effects = _rolled_back(memory.with_failure(failure), event.reason)
    return _ended(memory, success=False, reason=event.reason), effects


def _rolled_back(memory: Memory, reason: str) -> tuple[Memory, Effects]:
    memory = dataclasses.replace(
        memory, phase=Phase.ROLLED_BACK, starts=0, watches=0, last_error=reason
    )
    return memory, (Save(), Restore(memory.current))


def _prevented(memory: Memory, event: Prevented) -> tuple[Memory, Effects]:
    idle = dataclasses.replace(
        memory, phase=Phase.IDLE, starts=0, last_error=event.reason, action=None
    )
    return idle, (Save(),)


def _deferred(memory: Memory, event: Deferred) -> tuple[Memory, Effects]:
    idle = dataclasses.replace(
        memory, phase=Phase.IDLE, waits=event.reason, last_error=None, action=None
    )
    return idle, (Save(),)


def _prevented_in_trial(memory: Memory, event: Prevented) -> tuple[Memory, Effects]:
    return _rolled_back(dataclasses.replace(memory, action=None), event.reason)


# What a phase asks for, at its beginning and again after a death in it.
_AGAIN: Mapping[Phase, Callable[[Release], Effects]] = {
    Phase.VERIFYING: lambda release: (Verify(release),),
    Phase.STAGED: lambda release: (Settle(release),),
    Phase.TRIAL: lambda release: (Flip(release), Try(release)),
}
_MOVES: Mapping[tuple[Phase, type[Event]], Callable[..., tuple[Memory, Effects]]] = {
    **{(phase, Asked): _asked for phase in RESTING},
    (Phase.CHECKING, Offered): _offered,
    (Phase.CHECKING, Declined): _declined,
    (Phase.CHECKING, Prevented): _prevented,
    (Phase.DOWNLOADING, Downloaded): _onwards(Phase.VERIFYING),
    (Phase.DOWNLOADING, Deferred): _deferred,
    (Phase.DOWNLOADING, Prevented): _prevented,
    (Phase.VERIFYING, Verified): _onwards(Phase.STAGED),
    (Phase.VERIFYING, Refused): _refused,
    (Phase.VERIFYING, Prevented): _prevented,
    (Phase.STAGED, Settled): _onwards(Phase.TRIAL),
    (Phase.STAGED, Prevented): _prevented,
    (Phase.TRIAL, Passed): _passed,
    (Phase.TRIAL, Kept): _kept,
    (Phase.TRIAL, Refused): _refused,
    (Phase.TRIAL, Prevented): _prevented_in_trial,
    (Phase.TRIAL, Left): _left,
    (Phase.PROBATION, Kept): _kept,
    (Phase.PROBATION, Refused): _refused,
    (Phase.PROBATION, Prevented): _prevented_in_trial,
    (Phase.PROBATION, Left): _left,
}

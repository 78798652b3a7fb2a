"""The life of one workload's process: events in, the next life and what is to be done out.

    waiting -> starting -> running -> stopping -> starting ...
       ^          |           |  \\-> ended           \\-> gone
       |          v           v
       \\------- resting <-----/

Rules:

* Time comes with the events (seconds of a clock that never goes back); nothing here looks at a clock,
  a process or a file, so every order of events can be tried.
* The bundle to run is the first offered one that has not failed here. One that refuses itself
  (`Exit.REFUSED`) has failed at once; one whose process died `Limits.crashes` times in a row, none of
  them having lived for `Limits.steady`, is a crash loop: it has failed too, and that is reported once.
  What is offered next, the last good bundle, takes its place with a clean record.
* If all that is offered has failed, the best of it is tried again at the longest wait: a device may
  have been short of memory for a while, and who gives up for good never hears again. A bundle
  that refused itself is not: it would again.
* A process that dies is started again after a wait that doubles from `first_wait` to `longest_wait`.
  A source that cannot be had (`Exit.SOURCE`) waits likewise, and no bundle is blamed for it.
* A process that says nothing for `Limits.hang` (`Limits.start` before its first word) is killed, and
  has died. One that was told to end has `Limits.drain` to do so, and then is killed.
* A workload whose source is over ends and is not started again, until its settings change.
* A bundle that is offered anew, or new settings, end the process in peace and start another; while it
  rests, it is started at once.
"""

from __future__ import annotations

import dataclasses
import enum

from edge_agent.tables import Limits
from edge_agent.workloads.messages import Exit


class State(enum.StrEnum):
    """Where a workload stands."""

    WAITING = "waiting for a bundle"
    STARTING = "starting"
    RUNNING = "running"
    RESTING = "resting after a failure"
    STOPPING = "stopping"
    ENDED = "source is over"
    GONE = "stopped"


ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle that a workload may run, and the SHA-256 (hex) that tells it from others."""

    path: str
    digest: str


@dataclasses.dataclass(frozen=True)
class Offered:
    """These bundles are there, the best first."""

    bundles: tuple[Bundle, ...]


@dataclasses.dataclass(frozen=True)
class Ready:
    """The process has opened its bundle and source."""


@dataclasses.dataclass(frozen=True)
class Beat:
    """The process's inference loop goes round."""


@dataclasses.dataclass(frozen=True)
class Exited:
    """The process is gone: its exit code, or the negative number of the signal; and its last words."""

    code: int
    words: str = ""


@dataclasses.dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclasses.dataclass(frozen=True)
class Changed:
    """The settings have changed: the process must start anew."""


@dataclasses.dataclass(frozen=True)
class Stop:
    """The daemon ends, or the workload was taken out of the settings."""


Event = Offered | Ready | Beat | Exited | Tick | Changed | Stop


@dataclasses.dataclass(frozen=True)
class Spawn:
    """Start the process with `bundle`."""

    bundle: Bundle


@dataclasses.dataclass(frozen=True)
class Terminate:
    """Tell the process to end in peace."""


@dataclasses.dataclass(frozen=True)
class Kill:
    """End the process at once."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Tell the world: `event` is one of ready, crashed, hung, crash_loop, refused, source, over.

    `bundle` is the one that it is about.
    """

    event: str
    text: str = ""
    bundle: Bundle | None = None


Effect = Spawn | Terminate | Kill | Report
Effects = tuple[Effect, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Life:
    """All that is known of one workload.

    Attributes:
        state: where it stands.
        since: when that began.
        heard: when its process last gave a sign of life.
        offered: the bundles that are there, the best first.
        bundle: what its process runs, ran last, or is about to.
        crashed: digests of the bundles that a crash loop was seen of.
        refused: digests of the bundles that refused themselves.
        deaths: in a row, of processes with this bundle.
        failures: in a row, of any kind: they make the waits longer.
        hung: whether its process was killed because it said nothing.
        stopping: whether it is to end for good.
        error: what went wrong last; None once it runs well again.
    """

    state: State = State.WAITING
    since: float = 0.0
    heard: float = 0.0
    offered: tuple[Bundle, ...] = ()
    bundle: Bundle | None = None
    crashed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    deaths: int = 0
    failures: int = 0
    hung: bool = False
    stopping: bool = False
    error: str | None = None


def step(life: Life, event: Event, now: float, limits: Limits) -> tuple[Life, Effects]:
    """The life after `event`, and what is to be done."""
    match event:
        case Offered(bundles):
            return _settle(dataclasses.replace(life, offered=bundles), now)
        case Ready():
            return _ready(life, now)
        case Beat():
            return dataclasses.replace(life, heard=now), ()
        case Exited():
            return _exited(life, event, now, limits)
        case Changed():
            return _changed(life, now)
        case Stop():
            return _stop(life, now)
        case Tick():
            return _tick(life, now, limits)


def choice(life: Life) -> Bundle | None:
    """The bundle that should run: the first that has not failed, else the first that only crashed."""
    sound = [b for b in life.offered if b.digest not in life.refused]
    good = [b for b in sound if b.digest not in life.crashed]
    return next(iter(good or sound), None)


def rest(life: Life, limits: Limits) -> float:
    """Seconds from a failure to the next start."""
    if life.bundle is not None and life.bundle.digest in life.crashed:
        return limits.longest_wait
    return float(min(limits.longest_wait, limits.first_wait * 2 ** min(life.failures - 1, 30)))


def _enter(life: Life, state: State, now: float) -> Life:
    return dataclasses.replace(life, state=state, since=now)


def _spawn(life: Life, bundle: Bundle, now: float) -> tuple[Life, Effects]:
    fresh = life.bundle is None or life.bundle.digest != bundle.digest
    life = dataclasses.replace(
        life, bundle=bundle, heard=now, hung=False, deaths=0 if fresh else life.deaths
    )
    return _enter(life, State.STARTING, now), (Spawn(bundle),)


def _settle(life: Life, now: float) -> tuple[Life, Effects]:
    """Makes what runs follow what should."""
    wanted = choice(life)
    if life.stopping or life.state in (State.ENDED, State.STOPPING, State.GONE):
        return life, ()
    if wanted is None:
        # What runs is in memory and goes on; what rests has nothing to start with.
        return (_enter(life, State.WAITING, now) if life.state is State.RESTING else life), ()
    other = life.bundle is None or life.bundle.digest != wanted.digest
    if life.state is State.WAITING or (life.state is State.RESTING and other):
        return _spawn(dataclasses.replace(life, failures=0), wanted, now)
    if life.state in (State.STARTING, State.RUNNING) and other:
        return _enter(life, State.STOPPING, now), (Terminate(),)
    return life, ()


def _ready(life: Life, now: float) -> tuple[Life, Effects]:
    life = dataclasses.replace(life, heard=now)
    if life.state is not State.STARTING or life.bundle is None:
        return life, ()
    return _enter(life, State.RUNNING, now), (Report("ready", bundle=life.bundle),)


def _exited(life: Life, event: Exited, now: float, limits: Limits) -> tuple[Life, Effects]:
    if life.state not in ALIVE:
        return life, ()
    if life.stopping:
        return _enter(life, State.GONE, now), ()
    if life.state is State.STOPPING:
        return _settle(_enter(life, State.WAITING, now), now)
    if event.code == Exit.OVER:
        return _enter(life, State.ENDED, now), (Report("over", event.words, life.bundle),)
    if event.code == Exit.SOURCE:
        told = life.error == event.words and life.state is State.STARTING
        life, effects = _failed(life, now, Report("source", event.words))
        # A microphone may be away for a day, and is looked for each minute: that is told once.
        return life, effects[1:] if told else effects
    if event.code == Exit.REFUSED and life.bundle is not None:
        refused = life.refused | {life.bundle.digest}
        return _failed(
            dataclasses.replace(life, refused=refused), now, Report("refused", event.words)
        )
    return _crashed(life, event, now, limits)


def _crashed(life: Life, event: Exited, now: float, limits: Limits) -> tuple[Life, Effects]:
    steady = life.state is State.RUNNING and now - life.since >= limits.steady
    life = dataclasses.replace(
        life, deaths=1 if steady else life.deaths + 1, failures=0 if steady else life.failures
    )
    report = Report("crashed", _said(event))
    if life.hung:
        patience = limits.start if life.state is State.STARTING else limits.hang
        report = Report("hung", f"gave no sign of life for {patience:g} s and was killed")
    known = life.bundle is None or life.bundle.digest in life.crashed
    if life.deaths < limits.crashes or known or life.bundle is None:
        return _failed(life, now, report)
    life = dataclasses.replace(life, crashed=life.crashed | {life.bundle.digest})
    loop = Report("crash_loop", f"died {life.deaths} times in a row: {report.text}")
    return _failed(life, now, report, loop)


def _failed(life: Life, now: float, *reports: Report) -> tuple[Life, Effects]:
    told = tuple(dataclasses.replace(report, bundle=life.bundle) for report in reports)
    life = dataclasses.replace(life, failures=life.failures + 1, error=reports[-1].text)
    life, effects = _settle(_enter(life, State.RESTING, now), now)
    return life, (*told, *effects)


def _said(event: Exited) -> str:
    how = f"signal {-event.code}" if event.code < 0 else f"exit code {event.code}"
    return f"ended with {how}{': ' if event.words else ''}{event.words}"


def _changed(life: Life, now: float) -> tuple[Life, Effects]:
    if life.stopping:
        return life, ()
    clean = dataclasses.replace(
        life, crashed=frozenset(), refused=frozenset(), deaths=0, failures=0, error=None
    )
    if life.state in (State.STARTING, State.RUNNING):
        return _enter(clean, State.STOPPING, now), (Terminate(),)
    if life.state is State.STOPPING:
        return clean, ()
    return _settle(_enter(clean, State.WAITING, now), now)


def _stop(life: Life, now: float) -> tuple[Life, Effects]:
    told = dataclasses.replace(life, stopping=True)
    if life.state in (State.STARTING, State.RUNNING):
        return _enter(told, State.STOPPING, now), (Terminate(),)
    if life.state is State.STOPPING:
        return told, ()
    return _enter(told, State.GONE, now), ()


def _tick(life: Life, now: float, limits: Limits) -> tuple[Life, Effects]:
    if life.state is State.RESTING and now - life.since >= rest(life, limits):
        bundle = choice(life)
        return (life, ()) if bundle is None else _spawn(life, bundle, now)
    if life.state is State.STOPPING and now - life.since >= limits.drain:
        return _enter(life, State.STOPPING, now), (Kill(),)
    if life.state is State.RUNNING and life.error and now - life.since >= limits.steady:
        life = dataclasses.replace(life, error=None, failures=0, deaths=0)
    patience = limits.start if life.state is State.STARTING else limits.hang
    silent = now - life.heard >= patience and life.state in (State.STARTING, State.RUNNING)
    if silent and not life.hung:
        return dataclasses.replace(life, hung=True), (Kill(),)
    return life, ()

"""The daemon watches a bundle on probation: it counts what the workload shows, and says when it is enough.

The updater has gone by then. What follows is decided by its state machine and recorded in its record, under
its lock; nothing here waits for a network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from edge_agent.supervisor.life import State
from edge_agent.supervisor.workload import Workload
from edge_agent.update import machine
from edge_agent.update.errors import BusyError, StorageError
from edge_agent.update.memory import Memory, Phase, Release
from edge_agent.update.probation import Seen, Usual, judge
from edge_agent.update.slots import DeviceFolder
from edge_agent.workloads.messages import Counters

Emit = Callable[[str, str, dict[str, Any]], None]
_WATCHED = (Phase.TRIAL, Phase.PROBATION)
_HEARS = "keyword"


@dataclasses.dataclass(kw_only=True)
class _Stretch:
    """A time with one bundle: what had been counted when it began, and how long it ran since."""

    digest: str
    begun: float
    counters: Counters
    crashes: int
    ran_s: float = 0.0


class Probation:
    """Watches over the bundles in `folder`, by the workload that runs them.

    Args:
        folder: the device's.
        emit: takes an event: ``update``, event, body.
        clock: seconds that never go back.
    """

    def __init__(self, folder: DeviceFolder, emit: Emit, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._emit = emit
        self._clock = clock
        self._counted = False
        self._workload: Workload | None = None
        self._stretch: _Stretch | None = None
        self._looked = clock()
        self._last = Counters()
        self._usual = Usual()
        self._trouble = ""

    def begin(self) -> None:
        """Counts this daemon, before it starts what may bring it down."""
        self._counted = self._feed(machine.Watching)

    def leave(self) -> None:
        """The daemon ends in peace, and does not count any more."""
        if self._counted:
            self._feed(lambda running: machine.Left())

    def look(self, workload: Workload | None, seconds: float) -> bool:
        """Looks at `workload`, which runs what the slots hold; gives whether a bundle was decided upon.

        Args:
            workload: None where none does.
            seconds: how long a bundle is to run before it is kept.
        """
        if not self._counted:
            self.begin()
        now = self._clock()
        passed, self._looked = now - self._looked, now
        memory = self._folder.memory()
        if workload is not self._workload:  # another one, with counters of its own
            self._workload = workload
            self._stretch = None
            self._last = workload.counters if workload else Counters()
        if workload is not None:
            self._follow(workload, memory, passed)
        if memory.phase is not Phase.PROBATION:
            return False
        if workload is None:
            verdict: machine.Event | None = machine.Prevented(
                "on probation: agent.toml has no workload any more that runs it"
            )
        else:
            assert memory.terms is not None  # decode_memory sees to it
            verdict = judge(self._seen(workload, memory), memory.terms, seconds)
        return verdict is not None and self.decide(verdict)

    def decide(self, verdict: machine.Event) -> bool:
        """Ends the probation with `verdict`; false if the folder is not to be had now."""
        return self._feed(lambda running: verdict)

    def _follow(self, workload: Workload, memory: Memory, passed: float) -> None:
        """Notes what passed, for the bundle on probation or for the one that is good."""
        watched = memory.candidate if memory.phase in _WATCHED else memory.current
        if watched is None:
            self._stretch = None
            return
        stretch = self._stretch
        if stretch is None or stretch.digest != watched.digest:
            stretch = self._stretch = _Stretch(
                digest=watched.digest,
                begun=self._clock(),
                counters=workload.counters,
                crashes=workload.crashes,
            )
        bundle = workload.life.bundle
        if workload.life.state is State.RUNNING and bundle and bundle.digest == watched.digest:
            stretch.ran_s += passed
            if memory.phase not in _WATCHED:
                heard_s = _heard(workload, self._last, passed)
                triggers = workload.counters.triggers - self._last.triggers
                self._usual = self._usual.after(watched.digest, heard_s, triggers)
        self._last = workload.counters

    def _seen(self, workload: Workload, memory: Memory) -> Seen:
        stretch = self._stretch
        assert stretch is not None  # _follow has made it
        now, before = workload.counters, stretch.counters
        refused = stretch.digest in workload.life.refused
        return Seen(
            ran_s=stretch.ran_s,
            waited_s=self._clock() - stretch.begun,
            heard_s=_heard(workload, before, stretch.ran_s),
            triggers=now.triggers - before.triggers,
            usual_per_hour=self._usual.per_hour,
            inferences=now.inferences - before.inferences,
            latency_s=now.latency_s - before.latency_s,
            added_bytes=now.added_bytes,
            crashes=workload.crashes - stretch.crashes,
            refused=(workload.life.error or "it does not say why") if refused else None,
        )

    def _feed(self, event: Callable[[Release | None], machine.Event]) -> bool:
        """Gives the machine an event; false if the folder is not to be had now.

        Args:
            event: given what runs.
        """
        try:
            with self._folder.locked():
                before = self._folder.memory()
                memory, effects = machine.step(before, event(self._folder.running(before)))
                for effect in effects:
                    self._carry_out(effect, memory)
        except BusyError:
            return False
        except StorageError as e:
            if str(e) != self._trouble:
                self._trouble = str(e)
                self._emit("update", "update_failed", {"last_error": self._trouble})
            return False
        if memory.phase is not before.phase:
            self._tell(before, memory)
        return True

    def _carry_out(self, effect: machine.Effect, memory: Memory) -> None:
        match effect:
            case machine.Save():
                self._folder.record(memory)
            case machine.Flip(release=release):
                self._folder.flip(release.slot)
            case machine.Restore(release=release):
                self._folder.restore(release)

    def _tell(self, before: Memory, memory: Memory) -> None:
        told = {
            "from": before.current and before.current.version,
            "to": memory.current and memory.current.version,
            "state": memory.phase.value,
            "last_error": memory.last_error,
        }
        failed = memory.last_error is not None
        self._emit("update", "update_failed" if failed else "updated", told)


def _heard(workload: Workload, before: Counters, passed: float) -> float:
    """Seconds of input since `before`: of audio, or else by the clock, for rows come as they will."""
    hears = workload.name == _HEARS
    return workload.counters.input_s - before.input_s if hears else passed

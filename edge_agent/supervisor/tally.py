"""What the workload that runs a release did with it, for the fleet server."""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.supervisor.life import State
from edge_agent.supervisor.workload import Workload
from edge_agent.update import telemetry
from edge_agent.update.errors import StorageError
from edge_agent.update.memory import Memory, Release
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.telemetry import Work
from edge_agent.workloads.messages import Counters


class Tally:
    """Counts by release; call `look` often.

    Args:
        folder: the device's.
        clock: seconds that never go back.
    """

    def __init__(self, folder: DeviceFolder, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._done: dict[tuple[str, str], Work] = {}
        self._looked = clock()
        self._workload: Workload | None = None
        self._counters = Counters()
        self._crashes = 0

    def look(self, workload: Workload | None) -> None:
        """Takes in what `workload`, which runs what the slots hold, did since the last look."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        if workload is not self._workload:  # another one, with counters of its own
            self._workload = workload
            self._counters = workload.counters if workload else Counters()
            self._crashes = workload.crashes if workload else 0
        if workload is None:
            return
        before, self._counters = self._counters, workload.counters
        crashes, self._crashes = workload.crashes - self._crashes, workload.crashes
        release = _running(workload, self._folder.memory())
        if release is None:
            return
        work = self._done.setdefault((release.name, release.version), Work())
        triggers = self._counters.triggers - before.triggers
        if workload.name == "keyword":
            work.triggers = (work.triggers or 0) + triggers
            work.scores += sum(self._counters.scores) - sum(before.scores)
            work.score_sum += self._counters.score_sum - before.score_sum
        else:
            work.anomalies = (work.anomalies or 0) + triggers
        if workload.life.state is State.RUNNING:
            work.hours += passed / 3600
        work.crashes += crashes
        work.inferences += self._counters.inferences - before.inferences
        work.busy_ms += 1000 * (self._counters.latency_s - before.latency_s)
        work.distance = workload.adaptation

    def hand_over(self) -> None:
        """Leaves all of it to the updater, once it has told what it was left before."""
        done = {release: work for release, work in self._done.items() if work.hours > 0}
        try:
            if done and telemetry.keep(self._folder.root, done):
                self._done.clear()
        except StorageError:
            pass  # it is counted on, and left the next time


def _running(workload: Workload, memory: Memory) -> Release | None:
    """The release that the workload runs, if it is one that the record knows by name."""
    bundle = workload.life.bundle
    for release in (memory.current, memory.candidate):
        if release and release.name and bundle and release.digest == bundle.digest:
            return release
    return None

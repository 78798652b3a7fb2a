"""One poll of a server that says what this device should run, and what follows from it.

    report what has ended -> poll -> say what this device is, and did -> cancel, consent or install -> report

What has ended is in the device's record, written with the end itself, so that a report outlives a kill and a
network that is away; a server that closed the action meanwhile does not get it twice. One that answers polls
and refuses the report would refuse it for ever, and is not told: no report keeps a device from later updates.
How it goes between is told as far as the network allows (`progress`), and nothing waits for that.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from edge_agent.update import durable, telemetry
from edge_agent.update.ddi import (
    DdiClient,
    Deployment,
    Execution,
    Finished,
    NotTakenError,
    Poll,
)
from edge_agent.update.durable import storage_errors
from edge_agent.update.errors import UpdateError
from edge_agent.update.memory import Memory, Phase
from edge_agent.update.progress import Progress
from edge_agent.update.updater import Updater, Wanted

_TOLD = "told.json"
_EXECUTIONS: dict[Phase, Execution] = {
    Phase.DOWNLOADING: "download",
    Phase.VERIFYING: "downloaded",
    Phase.TRIAL: "proceeding",
    Phase.PROBATION: "proceeding",
}


class Directed:
    """Does what the server `ddi` says; hold the folder's lock meanwhile.

    Args:
        ddi: the server.
        root: the device folder.
        line: the line of releases that is meant where a server names a version alone.
        attributes: what the server is told of this device, besides what runs.
    """

    def __init__(
        self, ddi: DdiClient, root: Path, line: str, attributes: Mapping[str, str]
    ) -> None:
        self._ddi = ddi
        self._progress = Progress(ddi, root)
        self._line = line
        self._root = root
        self._told_path = root / _TOLD
        self._attributes = attributes

    def tell_phase(self, memory: Memory) -> None:
        """Tells the server how its action goes, if it can be told now."""
        execution = _EXECUTIONS.get(memory.phase)
        if memory.action is not None and execution is not None:
            with contextlib.suppress(UpdateError):
                self._progress.tell(memory.action, execution, f"agent: {memory.phase.value}")

    def run(self, updater: Updater) -> Poll:
        """One poll, and what follows from it.

        Args:
            updater: of this device; its `entered` is to be `tell_phase`.

        Raises:
            UpdateError: if the server does not answer, or the device's record cannot be written.
        """
        updater.resume()
        self._report(updater)
        poll = self._ddi.poll()
        self._describe(poll, updater.memory)
        self._tell_work()
        if poll.confirmation is not None:
            self._ddi.confirm(poll.confirmation)
            poll = self._ddi.poll()
        if poll.cancel is not None:
            self._cancel(poll.cancel, updater)
        elif poll.deployment is not None:
            deployment = self._ddi.deployment(poll.deployment)
            if deployment is not None:
                self._deploy(deployment, updater)
        return poll

    def _deploy(self, deployment: Deployment, updater: Updater) -> None:
        action = deployment.action
        if updater.memory.phase is Phase.PROBATION:
            self._progress.tell(action, "proceeding", "agent: probation")
            return
        if deployment.held:
            self._progress.tell(action, "scheduled", "agent: waits until the server allows it")
            return
        wanted = Wanted(
            name=self._line,
            version=deployment.version,
            target=deployment.target,
            digest=deployment.digest,
            older="taken" if deployment.rollback else "declined",
            elsewhere=deployment.artifact,
        )
        updater.ask(wanted, action)
        memory = updater.memory
        if memory.report is not None:
            self._report(updater)
        elif memory.waits is not None:
            self._progress.tell(action, "scheduled", f"agent: {memory.waits}")
        elif memory.last_error is not None:
            self._progress.tell(action, "proceeding", f"agent: {memory.last_error}")

    def _report(self, updater: Updater) -> None:
        report = updater.memory.report
        if report is None:
            return
        finished: Finished = "success" if report.success else "failure"
        details = (report.reason,) if report.reason else ()
        try:
            self._ddi.feedback(report.action, "closed", finished, *details)
        except NotTakenError:
            self._ddi.poll()  # raises, and the report waits, if it is the token that is refused
        updater.reported()

    def _cancel(self, href: str, updater: Updater) -> None:
        action = self._ddi.cancelled(href)
        if action is None:
            return
        if updater.memory.action == action:
            updater.withdraw("cancelled by the server")
        self._ddi.cancel_feedback(action, "success", "agent: nothing of it runs")

    def _tell_work(self) -> None:
        """Tells what was done; what the server does not answer waits for the next poll."""
        with contextlib.suppress(UpdateError):
            for report in telemetry.waiting(self._root):
                self._ddi.telemetry(report)
                telemetry.told(self._root, report)

    def _describe(self, poll: Poll, memory: Memory) -> None:
        """Tells what this device is, where the server asks, or it is not what it was told last."""
        told = dict(self._attributes)
        if memory.current is not None and memory.current.name:
            told |= {"release": f"{memory.current.name} {memory.current.version}"}
        data = json.dumps(told, sort_keys=True).encode()
        with storage_errors(self._told_path.parent):
            known = self._told_path.is_file() and self._told_path.read_bytes() == data
            if poll.attributes is None and known:
                return
            with contextlib.suppress(NotTakenError):
                self._ddi.configure(told)
            durable.write_whole(self._told_path, data)

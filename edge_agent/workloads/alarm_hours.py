"""Writes the hour around each alarm beside the work: the table at once, its picture by a process of its own.

Drawing takes memory and time that a bundle on probation would be blamed for.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.sources.table import RowBlock
from edge_agent.update.slots import ALARMS
from edge_agent.watching.alarm_folder import AlarmFolder
from edge_agent.watching.alarm_hour import AFTER_S, AlarmHour, AlarmHours
from edge_agent.watching.watch import Finding
from edge_agent.workloads.alarm_drawing import start_drawing
from edge_agent.workloads.job import Job
from edge_agent.workloads.speaking import Speaker

_DRAWN_S = 5.0  # that the end waits for a picture


class HourWriter:
    """Keeps the last hour of a stream, and writes it where there was an alarm in it."""

    def __init__(
        self,
        job: Job,
        channels: list[str],
        speaker: Speaker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Writes into ``alarms/`` of the job's device folder; nothing if the job allows no bytes."""
        self._speaker = speaker
        self._clock = clock
        self._taken = clock()
        self._folder: AlarmFolder | None = None
        if job.root and job.alarm_bytes:
            self._folder = AlarmFolder(Path(job.root) / ALARMS, job.alarm_bytes)
            self._folder.sweep()
        self._most_bytes = job.alarm_bytes
        self._hours = AlarmHours(channels)
        self._drawing: subprocess.Popen[bytes] | None = None

    def take(self, block: RowBlock, findings: list[Finding]) -> None:
        """The next rows, and what was found in each."""
        if self._folder is None:
            return
        self._taken = self._clock()
        for hour in self._hours.take(block, findings):
            self._write(self._folder, hour)
        self._drawn()

    def waited(self) -> None:
        """No row has come for a while: a machine that failed may have been stopped, and says no more."""
        if self._folder is not None and self._clock() - self._taken >= AFTER_S:
            for hour in self._hours.rest():
                self._write(self._folder, hour)
        self._drawn()

    def close(self) -> None:
        """Writes what is left; waits a little for a picture."""
        if self._folder is None:
            return
        for hour in self._hours.rest():
            self._write(self._folder, hour)
        until = time.monotonic() + _DRAWN_S
        while not self._drawn() and time.monotonic() < until:
            time.sleep(0.02)

    def _write(self, folder: AlarmFolder, hour: AlarmHour) -> None:
        try:
            path = folder.add(hour)
        except OSError as e:
            self._note(f"the hour around an alarm is not written: {e.strerror or e}")
            return
        if path is None:
            self._note("the hour around an alarm is larger than anomaly.alarm_bytes: raise it")
            return
        self._speaker.event("alarm_written", {"path": str(path)})
        if self._drawn():
            try:
                self._drawing = start_drawing(hour, path, self._most_bytes)
            except OSError as e:
                self._note(f"the picture of an alarm is not drawn: {e.strerror or e}")

    def _drawn(self) -> bool:
        """Whether no picture is being drawn."""
        if self._drawing is not None and self._drawing.poll() is not None:
            self._drawing = None
        return self._drawing is None

    def _note(self, text: str) -> None:
        body: dict[str, Any] = {"text": text}
        self._speaker.event("note", body)

"""The process that watches: rows of sensor values, one event where an alarm begins and where it ends.

python -m edge_agent.workloads.anomaly JOB
"""

from __future__ import annotations

import sys
import time
from typing import Any

from edge_agent import selftest
from edge_agent.bundle import archive
from edge_agent.sources.patient import Patience, SourceError
from edge_agent.sources.table import RowBlock, TableError
from edge_agent.watching.bundle import WatchError
from edge_agent.watching.watch import Finding, Watch
from edge_agent.workloads.alarm_hours import HourWriter
from edge_agent.workloads.counting import Counting
from edge_agent.workloads.job import Job, RefusedError, work
from edge_agent.workloads.remembering import Remembering
from edge_agent.workloads.row_source import RowSource
from edge_agent.workloads.speaking import Speaker


class Alarms:
    """Tells where alarms begin and end, and counts."""

    def __init__(
        self, watch: Watch, hours: HourWriter, speaker: Speaker, counting: Counting
    ) -> None:
        self._watch = watch
        self._hours = hours
        self._speaker = speaker
        self._counting = counting
        self._on = False

    def take(self, block: RowBlock) -> None:
        """The next rows."""
        begun = time.perf_counter()
        found, news = self._watch.process(block)
        findings = list(found)
        self._counting.inferences(len(block.rows), time.perf_counter() - begun)
        for sentence in news:
            self._speaker.event("note", {"text": sentence})
        for finding in findings:
            self._find(finding)
        self._hours.take(block, findings)
        counts = self._watch.quality.counts
        self._counting.bad_rows = sum(n for what, n in counts.items() if what != "rows")

    def _find(self, finding: Finding) -> None:
        if finding.threshold > 0:
            self._counting.score(finding.score / finding.threshold)
        if finding.anomaly == self._on:
            return
        self._on = finding.anomaly
        body: dict[str, Any] = {"row_time": finding.time}
        if self._on:
            self._counting.triggers += 1
            score, threshold = round(finding.score, 4), round(finding.threshold, 4)
            body |= {"channel": finding.channel, "score": score, "threshold": threshold}
        self._speaker.event("alarm" if self._on else "alarm_over", body)


def serve(job: Job, speaker: Speaker, counting: Counting, patience: Patience) -> None:
    """Watches until the source is over or the process is told to end."""
    watch, digest = _watch(job)
    source = RowSource(job, patience)
    remembering = Remembering(job, digest, watch, speaker)
    remembering.ready({"runtime": "numpy", "channels": watch.channels})
    hours = HourWriter(job, watch.channels, speaker)
    patience.on_wait(lambda _: hours.waited())
    alarms = Alarms(watch, hours, speaker, counting)
    try:
        for block in source.blocks(watch.channels):
            alarms.take(block)
            remembering.look()
            speaker.place(source.place())
            speaker.alive()
    except TableError as e:
        raise SourceError(str(e)) from e
    finally:
        remembering.close()
        hours.close()
        speaker.place(source.place())


def _watch(job: Job) -> tuple[Watch, str]:
    """The bundle's watch, and its digest."""
    try:
        bundle = archive.read(job.bundle)
    except archive.BundleError as e:
        raise RefusedError(str(e)) from e
    try:
        watch = Watch(bundle)
        selftest.run(bundle)
    except (archive.BundleError, selftest.SelfTestError, WatchError) as e:
        raise RefusedError(f"{job.bundle}: {e}") from e
    return watch, bundle.digest


if __name__ == "__main__":
    work(serve, sys.argv)

"""What the watcher's stream teaches, kept while it runs and taken up when it starts again.

It is kept when the warm-up is over, once a minute while adaptation moves something, and at the end: what a
crash loses is at most a minute's learning.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.reverts import Reverts, reverts
from edge_agent.anomaly.rows import Parameters
from edge_agent.watching.kept import KeptStream, KeptStreams
from edge_agent.watching.watch import Watch
from edge_agent.workloads.job import Job
from edge_agent.workloads.speaking import Speaker

_EVERY_S = 60.0


class Remembering:
    """Keeps what the stream of a watch teaches; nothing where the job has no device folder."""

    def __init__(self, job: Job, digest: str, watch: Watch, speaker: Speaker) -> None:
        """Takes up what was kept, if it goes with the bundle and the source.

        Args:
            job: names the device folder and the source.
            digest: SHA-256 (hex) of the bundle.
            watch: at the beginning of a stream.
            speaker: is told of what does not go with them.
        """
        self._watch, self._speaker = watch, speaker
        self._source, self._digest = job.source, digest
        self._streams = KeptStreams(Path(job.root)) if job.root else None
        self._reverts = reverts(Path(job.root)) if job.root else Reverts()
        self._kept: KeptStream | None = None
        self._next = time.monotonic()
        self._facts: dict[str, Any] = {}
        if self._streams is not None:
            try:
                self._take_up(self._streams)
            except (AdaptationError, ValueError) as e:
                speaker.event("adaptation_dropped", {"text": str(e)})

    def ready(self, facts: dict[str, Any]) -> None:
        """Bundle and source are open; says with `facts` how far the stream has come."""
        self._facts = facts
        self._speaker.ready(
            facts
            | {
                "adaptation": {
                    "current": self._reverts.total,
                    "distance": round(self._watch.drift, 4),
                    "warm": self._watch.warm,
                }
            }
        )

    def look(self) -> None:
        """Rows were scored: keeps what they taught, if it is time."""
        if self._streams is not None and self._watch.warm and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            self._keep(self._streams)

    def close(self) -> None:
        """Keeps the rest."""
        if self._streams is not None and self._watch.warm:
            self._keep(self._streams)

    def _take_up(self, streams: KeptStreams) -> None:
        kept = streams.of(self._digest, self._source)
        if kept is not None:
            self._watch.resume(kept.parameters)
            self._kept = kept

    def _keep(self, streams: KeptStreams) -> None:
        parameters = self._watch.kept()
        if not parameters or (self._kept is not None and _same(parameters, self._kept.parameters)):
            return
        stream = KeptStream(
            bundle=self._digest,
            source=self._source,
            reverts=self._reverts,
            drift=self._watch.drift,
            parameters=parameters,
        )
        try:
            streams.keep(stream)
        except AdaptationError as e:
            self._speaker.event("note", {"text": f"what was learned is not kept: {e}"})
            return
        self._kept = stream
        self.ready(self._facts)


def _same(some: Parameters, others: Parameters) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(array, others[name]) for name, array in some.items()
    )

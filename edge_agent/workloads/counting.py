"""What a workload counts, for the metrics."""

from __future__ import annotations

import bisect
import os
from pathlib import Path

from edge_agent.workloads.messages import LATENCY_BOUNDS_S, SCORE_BOUNDS, Counters

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Counting:
    """The counts so far.

    Attributes:
        triggers: detections, or alarms that began.
        input_s: seconds of audio.
        gaps: times that the stream of audio broke off.
        gap_s: seconds of audio that did not come.
        bad_rows: rows of which something was wrong.
        drift: the largest distance of a threshold from the bundle's.
    """

    def __init__(self) -> None:
        self.triggers = 0
        self.input_s = 0.0
        self.gaps = 0
        self.gap_s = 0.0
        self.bad_rows = 0
        self.drift = 0.0
        self._began_bytes = resident_bytes()
        self._inferences = 0
        self._latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._latency_s = 0.0
        self._scores = [0] * (len(SCORE_BOUNDS) + 1)
        self._score_sum = 0.0

    def inferences(self, count: int, seconds: float) -> None:
        """`count` inferences took `seconds` together."""
        self._inferences += count
        self._latency_s += seconds
        self._latency[bisect.bisect_left(LATENCY_BOUNDS_S, seconds / max(count, 1))] += count

    def score(self, score: float) -> None:
        """One inference gave `score`."""
        self._scores[bisect.bisect_left(SCORE_BOUNDS, score)] += 1
        self._score_sum += score

    def counters(self) -> Counters:
        """All of it, and the memory that the process holds now."""
        resident = resident_bytes()
        return Counters(
            inferences=self._inferences,
            triggers=self.triggers,
            input_s=round(self.input_s, 3),
            gaps=self.gaps,
            gap_s=round(self.gap_s, 3),
            bad_rows=self.bad_rows,
            latency=tuple(self._latency),
            latency_s=self._latency_s,
            scores=tuple(self._scores),
            score_sum=self._score_sum,
            rss_bytes=resident,
            drift=self.drift,
            added_bytes=max(0, resident - self._began_bytes),
        )


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0

"""The rows around an alarm: fifty minutes before it began and ten after, kept while they pass by.

Memory is bounded by the newest `MOST_ROWS` rows, fewer of many channels. Where rows have no time, a row
counts as a second; a source whose clock is set back goes on from where it was.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edge_agent.sources.table import RowBlock
from edge_agent.watching.watch import Finding

BEFORE_S, AFTER_S = 3000.0, 600.0
MOST_ROWS = 20_000
MOST_VALUES = 300_000
_LONGEST_NAME = 100


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One row: when it came by the stream's own clock, its values, and what was found in it."""

    second: float
    values: tuple[float, ...]
    finding: Finding


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlarmHour:
    """The rows around one alarm.

    Attributes:
        channels: names of the values.
        rows: in order.
        begun: place of the row at which the alarm began.
    """

    channels: Sequence[str]
    rows: Sequence[Kept]
    begun: int

    @property
    def name(self) -> str:
        """A file's name without its ending, after the time at which the alarm began."""
        begun = re.sub(r"[^0-9A-Za-z]+", "-", str(self.rows[self.begun].finding.time))
        return f"alarm-{begun[:_LONGEST_NAME]}"

    def csv(self) -> str:
        """The rows as a table: time, values, score, threshold, anomaly (1 or 0), channel."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["time", *self.channels, "score", "threshold", "anomaly", "channel"])
        for row in self.rows:
            f = row.finding
            values = ["" if math.isnan(v) else repr(v) for v in row.values]
            writer.writerow(
                [f.time, *values, f.score, f.threshold, int(f.anomaly), f.channel or ""]
            )
        return text.getvalue()


class AlarmHours:
    """Finds the alarms in a stream and gives the rows around each; an alarm within them has no own."""

    def __init__(self, channels: Sequence[str]) -> None:
        """Keeps nothing yet."""
        self._channels = channels
        most = max(1, min(MOST_ROWS, MOST_VALUES // max(1, len(channels))))
        self._rows: collections.deque[Kept] = collections.deque(maxlen=most)
        self._clock = self._set_back = 0.0
        self._second = -math.inf
        self._on = False
        self._begun: Kept | None = None

    def take(self, block: RowBlock, findings: Iterable[Finding]) -> Iterator[AlarmHour]:
        """The next rows, and what was found in each."""
        for values, second, finding in zip(
            block.rows.tolist(), block.seconds.tolist(), findings, strict=True
        ):
            self._clock = self._next(second)
            if self._begun is not None and self._clock >= self._begun.second + AFTER_S:
                yield self._hour(self._begun)
            kept = Kept(second=self._clock, values=tuple(values), finding=finding)
            self._rows.append(kept)
            while self._rows[0].second < self._clock - BEFORE_S - AFTER_S:
                self._rows.popleft()
            if finding.anomaly and not self._on and self._begun is None:
                self._begun = kept
            self._on = finding.anomaly

    def _next(self, second: float) -> float:
        """The stream's own clock at a row of this time, which never goes back, nor stands still for long."""
        if math.isnan(second):
            return self._clock + 1.0
        if second < self._second:
            self._set_back += self._second - second
        self._second = second
        return max(self._clock, second + self._set_back)

    def rest(self) -> Iterator[AlarmHour]:
        """The alarm whose ten minutes were not over when the stream ended, if there is one."""
        if self._begun is not None:
            yield self._hour(self._begun)

    def _hour(self, begun: Kept) -> AlarmHour:
        self._begun = None
        first = begun.second - BEFORE_S
        rows = [row for row in self._rows if row.second >= first]
        # Of a stream so dense that its beginning is gone, what is left.
        place = next((i for i, row in enumerate(rows) if row is begun), 0)
        return AlarmHour(channels=self._channels, rows=rows, begun=place)


def write_hour(folder: Path, hour: AlarmHour, picture: bytes | None) -> Path:
    """Writes ``NAME.csv``, and ``NAME.png`` if there is a picture; gives the table's path.

    Raises:
        OSError: if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hour.name}.csv"
    path.write_text(hour.csv(), encoding="utf-8")
    if picture is not None:
        path.with_suffix(".png").write_bytes(picture)
    return path

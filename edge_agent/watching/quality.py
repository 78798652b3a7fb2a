"""What may be wrong with the rows themselves, apart from any anomaly of the machine.

Each finding is said once, when it is first seen; the counts are said at the end.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.rows import present
from edge_agent.bundle.manifest import Channel
from edge_agent.sources.table import RowBlock

_STILL_FACTOR, _LEAST_STILL = 5, 100
_UNIT_ROWS = 50


class RowQuality:
    """Looks at each row of one stream before it is scored.

    Attributes:
        counts: how often each finding was made, in rows or, for missing values, in values.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        centre: npt.NDArray[np.float64],
        hold_rows: int | None = None,
    ) -> None:
        """Knows what was normal where the bundle was built.

        Args:
            channels: the channels.
            centre: each one's normal level there.
            hold_rows: see `edge_agent.anomaly.scoring.ScoringSettings`.
        """
        self.counts: collections.Counter[str] = collections.Counter()
        self._names = [channel.name for channel in channels]
        still = np.array([channel.longest_still for channel in channels])
        self._longest = np.maximum(_STILL_FACTOR * still, _LEAST_STILL)
        self._centre = centre
        self._for_how_long = "" if hold_rows is None else f", for {hold_rows} rows"
        self._still = np.zeros(len(channels), int)
        self._last_row = np.full(len(channels), np.nan)
        self._last_kept = self._last_row
        self._last_time: str | int | None = None
        self._newest_s = -np.inf
        self._first_rows: list[npt.NDArray[np.float64]] = []
        self._said: set[str] = set()

    def look(self, block: RowBlock) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """Takes the next rows.

        Returns:
            Which rows repeat the one before them, time and all, shape (rows,); and what is to be
            said now.
        """
        news: list[str] = []
        self._missing(block, news)
        self._time(block, news)
        repeats = self._repeats(block, news)
        self._stuck(block.rows[~repeats], news)
        self._units(block.rows, news)
        self.counts["rows"] += len(block.rows)
        return repeats, news

    def _say(self, news: list[str], key: str, sentence: str) -> None:
        if key not in self._said:
            self._said.add(key)
            news.append(sentence)

    def _missing(self, block: RowBlock, news: list[str]) -> None:
        missing = ~present(block.rows)
        if not missing.any():
            return
        self.counts["missing values"] += int(missing.sum())
        for place in np.flatnonzero(missing.any(axis=0)):
            row = int(np.flatnonzero(missing[:, place])[0])
            self._say(
                news, f"missing {place}",
                f"{self._names[place]}: no number at {block.times[row]}; its last value is held "
                f"wherever one is missing{self._for_how_long}",
            )  # fmt: skip

    def _time(self, block: RowBlock, news: list[str]) -> None:
        known = block.seconds[np.isfinite(block.seconds)]
        if not len(known):
            return
        newest = np.maximum.accumulate(np.concatenate([[self._newest_s], known]))
        back = known < newest[:-1]
        self._newest_s = float(newest[-1])
        if back.any():
            self.counts["rows whose time goes back"] += int(back.sum())
            self._say(
                news, "back", "time goes backwards: rows are scored in the order in which they come"
            )  # fmt: skip

    def _repeats(self, block: RowBlock, news: list[str]) -> npt.NDArray[np.bool_]:
        before = np.concatenate([self._last_row[None, :], block.rows[:-1]])
        same = ((block.rows == before) | (np.isnan(block.rows) & np.isnan(before))).all(axis=1)
        times = [self._last_time, *block.times]
        repeats = same & np.array([a == b for a, b in zip(times, block.times, strict=False)], bool)
        self._last_row, self._last_time = block.rows[-1], block.times[-1]
        if repeats.any():
            self.counts["repeated rows"] += int(repeats.sum())
            self._say(news, "repeats", "rows stand twice: a repeated one scores as the first")
        return repeats

    def _stuck(self, rows: npt.NDArray[np.float64], news: list[str]) -> None:
        if not len(rows):
            return
        before = np.concatenate([self._last_kept[None, :], rows[:-1]])
        place_of = np.arange(len(rows))[:, None]
        changed = np.maximum.accumulate(np.where(rows != before, place_of, -1), axis=0)
        run = place_of - changed + np.where(changed < 0, self._still, 1)
        longest, self._still, self._last_kept = run.max(axis=0), run[-1], rows[-1]
        for place in np.flatnonzero(longest > self._longest):
            self._say(
                news, f"stuck {place}",
                f"{self._names[place]}: has not changed for {int(longest[place])} rows: does the "
                "sensor still work?",
            )  # fmt: skip
            self.counts[f"stuck: {self._names[place]}"] = max(
                self.counts[f"stuck: {self._names[place]}"], int(longest[place])
            )

    def _units(self, rows: npt.NDArray[np.float64], news: list[str]) -> None:
        seen = sum(map(len, self._first_rows))
        if seen >= _UNIT_ROWS:
            return
        self._first_rows.append(rows[: _UNIT_ROWS - seen])
        if seen + len(rows) < _UNIT_ROWS:
            return
        middle = np.nan_to_num(np.median(np.concatenate(self._first_rows), axis=0))
        with np.errstate(divide="ignore", invalid="ignore"):
            power = np.log10(np.abs(middle / self._centre))
        for place in np.flatnonzero(np.abs(np.abs(power) - 3.0) < 0.2):
            self._say(
                news, f"units {place}",
                f"{self._names[place]}: about {middle[place]:.3g}, and {self._centre[place]:.3g} "
                "where the bundle was built: is it in other units?",
            )  # fmt: skip
            self.counts[f"other units: {self._names[place]}"] += 1

"""How well scores and alarms tell labelled anomalies from normal rows. No point adjustment.

Scores are judged row by row, and alarms as they stood: an alarm counts for the rows it was on, and
one alarm within a long fault does not make the whole fault found.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


def roc_auc(scores: Scores, labels: Labels) -> float | None:
    """Chance that an anomalous row scores above a normal one, ties counting half.

    None where either kind is missing.
    """
    anomalous = int(labels.sum())
    normal = len(labels) - anomalous
    if not anomalous or not normal:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    above = float(ranks[labels].sum()) - anomalous * (anomalous + 1) / 2.0
    return above / (anomalous * normal)


def pr_auc(scores: Scores, labels: Labels) -> float | None:
    """Average precision: precision at each threshold, weighted by the recall it adds.

    None where there is no anomalous row.
    """
    anomalous = int(labels.sum())
    if not anomalous:
        return None
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # the last row of each tie
    recall = found[last] / anomalous
    precision = found[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlarmQuality:
    """How alarms did, row by row.

    Attributes:
        false_alarm_rate: share of the normal rows with the alarm on; None without such rows.
        missed_rate: share of the anomalous rows with the alarm off; None without such rows.
        f1: of the rows; 0 where nothing was found.
        delays: for each labelled stretch, rows from its first to the first with the alarm on, or
            None where it never was.
        alarms: times that the alarm was raised.
    """

    false_alarm_rate: float | None
    missed_rate: float | None
    f1: float
    delays: tuple[int | None, ...]
    alarms: int


def alarm_quality(on: Labels, labels: Labels) -> AlarmQuality:
    """Holds alarms against labels, both shape (rows,)."""
    tally = AlarmTally()
    tally.take(on, labels)
    return tally.quality()


class AlarmTally:
    """Holds the alarms of a stream against its labels, block by block; keeps counts and no rows."""

    def __init__(self) -> None:
        """Has seen nothing."""
        self._rows = self._hit = self._false = self._anomalous = self._alarms = 0
        self._on = self._within = False
        self._began = 0
        self._delays: list[int | None] = []

    def take(self, on: Labels, labels: Labels) -> None:
        """The next rows, both shape (rows,)."""
        if not len(on):
            return
        self._hit += int((on & labels).sum())
        self._false += int((on & ~labels).sum())
        self._anomalous += int(labels.sum())
        raised = on & ~np.concatenate([[self._on], on[:-1]])
        self._alarms += int(raised.sum())
        for begin, end in stretches(labels):
            if begin or not self._within:
                self._delays.append(None)
                self._began = self._rows + begin
            within = np.flatnonzero(on[begin:end])
            if self._delays[-1] is None and len(within):
                self._delays[-1] = self._rows + begin + int(within[0]) - self._began
        self._on, self._within = bool(on[-1]), bool(labels[-1])
        self._rows += len(on)

    def quality(self) -> AlarmQuality:
        """What was found in all rows so far."""
        normal = self._rows - self._anomalous
        return AlarmQuality(
            false_alarm_rate=self._false / normal if normal else None,
            missed_rate=1.0 - self._hit / self._anomalous if self._anomalous else None,
            f1=2.0 * self._hit / max(1, self._anomalous + self._hit + self._false),
            delays=tuple(self._delays),
            alarms=self._alarms,
        )


def stretches(on: Labels) -> list[tuple[int, int]]:
    """The [begin, end) of each run of true rows."""
    edges = np.diff(np.concatenate([[False], on, [False]]).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))

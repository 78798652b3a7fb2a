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
    hit = int((on & labels).sum())
    anomalous, normal = int(labels.sum()), int((~labels).sum())
    false = int((on & ~labels).sum())
    delays = []
    for begin, end in stretches(labels):
        within = np.flatnonzero(on[begin:end])
        delays.append(int(within[0]) if len(within) else None)
    return AlarmQuality(
        false_alarm_rate=false / normal if normal else None,
        missed_rate=1.0 - hit / anomalous if anomalous else None,
        f1=2.0 * hit / max(1, anomalous + hit + false),
        delays=tuple(delays),
        alarms=len(stretches(on)),
    )


def stretches(on: Labels) -> list[tuple[int, int]]:
    """The [begin, end) of each run of true rows."""
    edges = np.diff(np.concatenate([[False], on, [False]]).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))

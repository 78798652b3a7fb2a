"""A few logs as the report draws them: values, scores, threshold, alarms, labels, shares by channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.anomaly_trainer.evaluation import scored_blocks, scorer_of
from components.series import Log
from edge_agent.anomaly.scoring import Scorer

FILE = "traces.npz"
_POINTS = 800
_MOST_ROWS = 200_000  # of a log, from its beginning


def shown(files: Sequence[dict[str, Any]], most: int = 6) -> list[int]:
    """Places of the logs to draw: the worst and the best by ROC-AUC, or the first where none has one."""
    known = [place for place, file in enumerate(files) if file["roc_auc"] is not None]
    if not known:
        return list(range(min(most, len(files))))
    ranked = sorted(known, key=lambda place: float(files[place]["roc_auc"]))
    worst = ranked[: (most + 1) // 2]
    best = [place for place in ranked[-(most // 2) :] if place not in worst]
    return [*worst, *best]


def write_traces(folder: Path, scorer: Scorer, logs: Sequence[Log]) -> list[str]:
    """Writes ``traces.npz`` of `logs`; gives their names, which stand for the arrays' numbers."""
    arrays = {}
    for number, log in enumerate(logs):
        for name, array in _trace(scorer, log).items():
            arrays[f"{number}.{name}"] = array
    np.savez(folder / FILE, **arrays)
    return [log.record.name for log in logs]


def _trace(scorer: Scorer, log: Log) -> dict[str, npt.NDArray[Any]]:
    """Shape (points,) each, but for values and shares, (points, channels); a point is some rows."""
    scores, ons, thresholds, shares = [], [], [], []
    count = 0
    for block in scored_blocks(scorer_of(scorer, log), log):
        scores.append(block.score)
        ons.append(block.anomaly)
        thresholds.append(block.threshold)
        shares.append(block.shares)
        count += len(block.score)
        if count >= _MOST_ROWS:
            break
    begins = np.unique(np.linspace(0, count - 1, min(_POINTS, count)).astype(int))
    values = np.array(log.rows[:count], np.float64)
    with np.errstate(invalid="ignore"):
        present = np.isfinite(values)
        total = np.add.reduceat(np.where(present, values, 0.0), begins, axis=0)
        there = np.add.reduceat(present.astype(float), begins, axis=0)
        means = np.where(there > 0, total / np.maximum(there, 1.0), np.nan)
    return {
        "row": begins,
        "values": means,
        "score": np.maximum.reduceat(np.concatenate(scores), begins),
        "on": np.logical_or.reduceat(np.concatenate(ons), begins),
        "threshold": np.concatenate(thresholds)[begins],
        "labels": np.logical_or.reduceat(np.array(log.labels[:count]), begins),
        "shares": np.maximum(np.maximum.reduceat(np.concatenate(shares), begins, axis=0), 0.0),
    }

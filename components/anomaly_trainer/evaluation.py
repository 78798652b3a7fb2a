"""How well a scorer does on whole logs, each from where its teaching ends, beside controls.

Memory does not grow with the logs: alarms are counted as they come, and of very many scores some are kept.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import Gate
from components.series import BLOCK_ROWS, Log
from edge_agent.anomaly.metrics import (
    AlarmQuality,
    AlarmTally,
    alarm_quality,
    pr_auc,
    roc_auc,
)
from edge_agent.anomaly.scoring import Scored, Scorer

_DAY_S = 86_400.0


# Rows of all logs together whose scores are kept for one detector.
MOST_KEPT = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """One log as it was scored, from the row on where its teaching ended.

    Attributes:
        log: which one.
        step: of so many rows, one is kept in `score` and `labels`; 1 but for very many rows.
        score: shape (rows kept,).
        labels: whether the row is labelled anomalous, shape (rows kept,).
        rows: how many were scored.
        alarms: how the alarm did, over all of them.
        threshold: what its last score was held against.
        typical: middle of its normal scores.
        state_bytes: what the stream kept.
    """

    log: Log
    step: int
    score: npt.NDArray[np.float64]
    labels: npt.NDArray[np.bool_]
    rows: int
    alarms: AlarmQuality
    threshold: float
    typical: float
    state_bytes: int


def scorer_of(scorer: Scorer, log: Log) -> Scorer:
    """`scorer` at the beginning of a log; its warm-up, if it has one, are the rows that teach there."""
    warm_up = scorer.settings.warm_up_rows
    if warm_up and warm_up != log.record.teaches:
        return scorer.with_warm_up(log.record.teaches)
    scorer.restart()
    return scorer


def scored_blocks(scorer: Scorer, log: Log) -> Iterator[Scored]:
    """What `scorer`, at the beginning of a log, finds in it, a block at a time."""
    for block in log.blocks():
        yield scorer.process(block)


def outcomes(scorer: Scorer, logs: Sequence[Log], most_kept: int = MOST_KEPT) -> list[Outcome]:
    """Scores every log as a stream of its own.

    Args:
        scorer: has learned.
        logs: any number of any length.
        most_kept: rows whose scores are kept; of more, every second or third, and so on.
    """
    rows = sum(len(log.rows) - log.record.teaches for log in logs)
    step = max(1, math.ceil(rows / most_kept))
    return [_outcome(scorer_of(scorer, log), log, step) for log in logs]


def _outcome(scorer: Scorer, log: Log, step: int) -> Outcome:
    begin = log.record.teaches
    tally, kept, place = AlarmTally(), [np.zeros(0)], 0
    for block in scored_blocks(scorer, log):
        first = max(begin - place, 0)
        tally.take(
            block.anomaly[first:], np.array(log.labels[place + first : place + len(block.score)])
        )
        # The rows of the log that are a number of steps after its teaching.
        kept.append(block.score[first + -(place + first - begin) % step :: step].copy())
        place += len(block.score)
    return Outcome(
        log=log,
        step=step,
        score=np.concatenate(kept),
        labels=np.array(log.labels[begin::step]),
        rows=len(log.rows) - begin,
        alarms=tally.quality(),
        threshold=scorer.threshold,
        typical=scorer.typical,
        state_bytes=scorer.state_bytes(),
    )


def aucs(found: Sequence[Outcome]) -> list[float | None]:
    """ROC-AUC of each log; None of one without anomalous rows.

    A log that is anomalous throughout is held against the normal rows of the one beside it, or of all
    logs that have no anomalous one.
    """
    return [roc_auc(*_against(outcome, found)) for outcome in found]


def evaluation(found: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of ``evaluation.json``: means over the logs, slices by folder, and each log.

    Figures that need anomalous rows are null where no log has any.
    """
    files = [_file(outcome, auc, found) for outcome, auc in zip(found, aucs(found), strict=True)]
    delays = [d for file in files for d in file["delays"] if d is not None]
    stretches = sum(len(file["delays"]) for file in files)
    slices: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        slices.setdefault(str(PurePosixPath(file["file"]).parent), []).append(file)
    days = sum(filter(None, (_days(outcome) for outcome in found)))
    return {
        **_means(files),
        "delay_rows": float(np.median(delays)) if delays else None,
        "faults_found": len(delays) / stretches if stretches else None,
        "alarms": sum(file["alarms"] for file in files),
        "alarms_per_day": sum(file["alarms"] for file in files) / days if days else None,
        "rows": sum(file["rows"] for file in files),
        "state_bytes": max(outcome.state_bytes for outcome in found),
        "slices": {name: _means(part) for name, part in sorted(slices.items())},
        "files": files,
    }


def gates(evaluation: dict[str, Any], max_false_alarms: float, least_gain: float) -> list[Gate]:
    """What must hold for a release."""
    false_alarms = evaluation["false_alarm_rate"]
    advice = "raise AnomalyTrainer.stretch or persistence, or give longer normal running"
    if strays := ", ".join(evaluation["strays"][:3]):
        advice = f"see first to the logs that the bundle does not fit ({strays}), which count; or {advice}"
    found = [
        Gate(
            name="false_alarm_rate",
            value=1.0 if false_alarms is None else false_alarms,
            limit=max_false_alarms,
            passed=false_alarms is not None and false_alarms <= max_false_alarms,
            advice=advice,
        )
    ]
    gains = {}
    if evaluation["nab"] is not None:
        gained = evaluation["nab"]["standard"] - evaluation["nab_control"]["standard"]
        gains["nab_over_controls"] = gained / 100.0
    elif evaluation["roc_auc"] is not None:
        gains["roc_auc_over_controls"] = evaluation["roc_auc"] - evaluation["control_roc_auc"]
    for name, gain in gains.items():
        found.append(
            Gate(
                name=name,
                value=gain,
                limit=least_gain,
                passed=gain >= least_gain,
                advice="knowing nothing tells as much: check labels and channels, try other lags",
            )
        )
    return found


def _file(outcome: Outcome, auc: float | None, found: Sequence[Outcome]) -> dict[str, Any]:
    quality = outcome.alarms
    labelled = quality.missed_rate is not None
    always = alarm_quality(np.ones_like(outcome.labels), outcome.labels)
    return {
        "file": outcome.log.record.name,
        "rows": outcome.rows,
        "threshold": round(outcome.threshold, 4),
        "roc_auc": auc,
        "pr_auc": pr_auc(*_against(outcome, found)),
        "control_roc_auc": None if auc is None else _control(outcome.labels),
        "control_f1": always.f1 if labelled else None,
        **dataclasses.asdict(quality),
        "f1": quality.f1 if labelled else None,
    }


_MEANS = (
    "roc_auc",
    "pr_auc",
    "control_roc_auc",
    "false_alarm_rate",
    "missed_rate",
    "f1",
    "control_f1",
)


def _means(files: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    return {name: mean([file[name] for file in files]) for name in _MEANS}


def _against(
    outcome: Outcome, found: Sequence[Outcome]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Scores and labels, with those of normal logs beside them where all rows are anomalous."""
    if not outcome.labels.size or not outcome.labels.all():
        return outcome.score, outcome.labels
    whole = [other for other in found if not other.labels.any()]
    beside = [o for o in whole if o.log.record.name == outcome.log.record.beside] or whole
    normal = np.concatenate([np.zeros(0), *(other.score for other in beside)])
    labels = np.repeat([False, True], [len(normal), len(outcome.score)])
    return np.concatenate([normal, outcome.score]), labels


def _control(labels: npt.NDArray[np.bool_]) -> float:
    """ROC-AUC of the row's number, or of saying nothing (0.5) where that is more."""
    return max(roc_auc(np.arange(len(labels), dtype=float), labels) or 0.5, 0.5)


def _days(outcome: Outcome) -> float | None:
    """How long the scored rows took; None where they have no times."""
    seconds = outcome.log.seconds
    least, most = np.inf, -np.inf
    for begin in range(outcome.log.record.teaches, len(seconds), BLOCK_ROWS):
        block = np.array(seconds[begin : begin + BLOCK_ROWS])
        known = block[np.isfinite(block)]
        least, most = min(least, known.min(initial=np.inf)), max(most, known.max(initial=-np.inf))
    return float(most - least) / _DAY_S if most > least else None


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there; None if none is."""
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None

"""How well a scorer does on whole files, each from its own warm-up on, beside controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.anomaly_trainer.files import Log
from components.artifacts import Gate
from edge_agent.anomaly.metrics import alarm_quality, pr_auc, roc_auc
from edge_agent.anomaly.scoring import Scorer


def evaluate(scorer: Scorer, logs: Sequence[Log]) -> dict[str, Any]:
    """The content of ``evaluation.json``: means over the files, and each file.

    Figures that need anomalous rows are null where no file has any.
    """
    warm_up = scorer.settings.warm_up_rows
    files, state_bytes = [], 0
    for log in logs:
        scorer.restart()
        scored = scorer.process(log.rows)
        state_bytes = max(state_bytes, scorer.state_bytes())
        scores, labels = scored.score[warm_up:], log.labels[warm_up:]
        quality = alarm_quality(scored.anomaly[warm_up:], labels)
        files.append(
            {
                "file": log.name,
                "rows": len(labels),
                "threshold": round(scorer.threshold, 4),
                "roc_auc": roc_auc(scores, labels),
                "pr_auc": pr_auc(scores, labels),
                "control_roc_auc": _control(labels),
                **dataclasses.asdict(quality),
            }
        )
    names = ("roc_auc", "pr_auc", "control_roc_auc", "false_alarm_rate", "missed_rate")
    delays = [d for file in files for d in file["delays"] if d is not None]
    labelled = [f["f1"] for f in files if f["missed_rate"] is not None]
    return {
        **{name: _mean([file[name] for file in files]) for name in names},
        "f1": _mean(labelled),
        "delay_rows": float(np.median(delays)) if delays else None,
        "alarms": sum(file["alarms"] for file in files),
        "rows": sum(file["rows"] for file in files),
        "state_bytes": state_bytes,
        "files": files,
    }


def gates(evaluation: dict[str, Any], max_false_alarms: float, least_gain: float) -> list[Gate]:
    """What must hold for a release."""
    false_alarms = evaluation["false_alarm_rate"]
    found = [
        Gate(
            name="false_alarm_rate",
            value=1.0 if false_alarms is None else false_alarms,
            limit=max_false_alarms,
            passed=false_alarms is not None and false_alarms <= max_false_alarms,
            advice="raise AnomalyTrainer.margin or persistence, or give longer normal running",
        )
    ]
    if evaluation["roc_auc"] is not None:
        gain = evaluation["roc_auc"] - evaluation["control_roc_auc"]
        found.append(
            Gate(
                name="roc_auc_over_controls",
                value=gain,
                limit=least_gain,
                passed=gain >= least_gain,
                advice="the row's number tells as much: check labels and channels, try other lags",
            )
        )
    return found


def _control(labels: npt.NDArray[np.bool_]) -> float | None:
    """ROC-AUC of the row's number, or of saying nothing (0.5) where that is more."""
    found = roc_auc(np.arange(len(labels), dtype=float), labels)
    return None if found is None else max(found, 0.5)


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None

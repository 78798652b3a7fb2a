"""The AnomalyTrainer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import ANOMALY_MODEL, EVALUATION, RECORDINGS
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyTrainerParameters:
    """Parameters of AnomalyTrainer. The detector's were chosen on half of SKAB (bench_anomaly).

    Attributes:
        channels: columns to watch; empty for every column of numbers that is nothing else.
        label: column that is 1 in anomalous rows; files without it count as normal throughout.
        ignore: columns that are no sensors.
        warm_up_rows: rows at each file's beginning that are normal running, and teach.
        detector: ``pca`` (principal components), or ``autoencoder``, which can follow bent relations and
            takes about a second of each stream's warm-up to learn (x86-64).
        lags: rows that the detector sees beside each other.
        variance: share of the normal variance that the plane of principal components holds.
        hidden: units of the autoencoder's layers before and behind its bottleneck.
        bottleneck: values that the autoencoder passes everything through.
        wandering_limit: see edge_agent.anomaly.wandering; 0 for a detector that follows nothing.
        wandering_alpha: weight of the newest row in the slow mean.
        normaliser: ``moments`` or ``robust``.
        smoothing: weight of the newest row in the mean of the log scores.
        rate: share of normal rows that may lie above the threshold, before the margin.
        margin: added to the threshold, for what the warm-up does not show.
        persistence: rows in a row at the threshold that raise an alarm.
        max_false_alarms: gate: most of the normal rows after the warm-up with an alarm on.
        least_gain: gate, where there are labels: least mean ROC-AUC above the best control's.
    """

    channels: tuple[str, ...] = ()
    label: str = "anomaly"
    ignore: tuple[str, ...] = ("changepoint",)
    warm_up_rows: int = 400
    detector: Literal["pca", "autoencoder"] = "pca"
    lags: int = 8
    variance: float = 0.9
    hidden: int = 16
    bottleneck: int = 4
    wandering_limit: float = 100.0
    wandering_alpha: float = 0.003
    normaliser: Literal["moments", "robust"] = "moments"
    smoothing: float = 0.05
    rate: float = 0.01
    margin: float = 0.9
    persistence: int = 1
    max_false_alarms: float = 0.2
    least_gain: float = 0.1


class AnomalyTrainer(Component):
    """Learns the normal rows of a folder of CSV files, and measures what that is worth."""

    INPUTS = {"rows": RECORDINGS}
    OUTPUTS = {"model": ANOMALY_MODEL, "evaluation": EVALUATION}
    PARAMETERS = AnomalyTrainerParameters
    EXECUTOR = "components.anomaly_trainer.executor:execute"

"""The AnomalyTrainer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import (
    ANOMALY_MODEL,
    EVALUATION,
    FEATURES,
    INFRA_VALIDATION,
    INT8_MODEL,
    MODEL,
    SERIES,
)
from components.base import Component

# The candidates that are networks: from each, `NAME_model`, `NAME_float` and `NAME_validation` may come.
NETWORKS = ("dense_autoencoder", "convolutional_autoencoder", "forecaster")
DETECTORS = (
    "pca",
    "ewma",
    "robust_z_score",
    "gaussian",
    "half_space",
    "autoencoder",
    "pca_and_ewma",
    *NETWORKS,
    "pca_and_dense_autoencoder",
)
BEST = "best"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyTrainerParameters:
    """Parameters of AnomalyTrainer. The scoring's were chosen on half of SKAB (bench_anomaly).

    Attributes:
        detector: ``best`` takes the cheapest of those that are as good as the best; a detector's name
            takes that one. All of `compare` are compared either way.
        compare: the detectors that are compared, as far as the recipe makes them.
        lags: rows that principal components and the numpy autoencoder see beside each other.
        variance: share of the normal variance that the plane of principal components holds.
        hidden: units of the numpy autoencoder's layers before and behind its bottleneck.
        bottleneck: values that it passes everything through.
        ewma_alpha: weight of the newest row in the exponential means of ``ewma``.
        gaussian_alphas: weights of the newest row in the running distributions of ``gaussian``.
        gaussian_shorts: weights of the newest row in its short means.
        smoothing: weight of the newest row in the mean of the log scores.
        threshold: ``peaks`` fits a tail to the highest normal scores, ``quantile`` takes them as they are.
        rate: share of normal rows that may lie above the threshold, before it is stretched.
        stretch: how many times as far above the middle of the normal scores the threshold lies, for
            what the warm-up does not show; if not given, what comes nearest to the aims.
        aim_false_alarms: most of the normal rows that should lie at the threshold or above it.
        aim_missed: most of the anomalous rows that should lie below it.
        aim_unlabelled: where nothing is labelled, most of the rows that should lie at it or above.
        persistence: rows in a row at the threshold that raise an alarm.
        hold_rows: where the features name senses (Transform.senses), for how many rows a missing value is
            held before the device goes on without its channel.
        as_good: how far below the best ROC-AUC a cheaper detector counts as good as it.
        most_bytes: budget: parameters and network together.
        most_state_bytes: budget: what a stream keeps.
        most_arena_bytes: budget: TFLM arena of a network.
        most_macs: budget: multiply-accumulates of a row.
        max_int8_drop: gate of a network: most that int8 may lose of the mean ROC-AUC.
        max_int8_file_drop: gate of a network: most that it may lose on any file.
        max_false_alarms: gate: most of the normal rows after the warm-up with an alarm on.
        least_gain: gate, where there are labels: least quality above the best control's.
    """

    detector: str = BEST
    compare: tuple[str, ...] = DETECTORS
    lags: int = 8
    variance: float = 0.9
    hidden: int = 16
    bottleneck: int = 4
    ewma_alpha: float = 0.1
    gaussian_alphas: tuple[float, ...] = (0.0005, 0.001)
    gaussian_shorts: tuple[float, ...] = (0.1, 0.05)
    smoothing: float = 0.05
    threshold: Literal["peaks", "quantile"] = "peaks"
    rate: float = 0.01
    stretch: float | None = None
    aim_false_alarms: float = 0.10
    aim_missed: float = 0.25
    aim_unlabelled: float = 0.01
    persistence: int = 1
    hold_rows: int = 8
    as_good: float = 0.01
    most_bytes: int = 20 * 1024
    most_state_bytes: int = 16 * 1024
    most_arena_bytes: int = 8 * 1024
    most_macs: int = 200_000
    max_int8_drop: float = 0.01
    max_int8_file_drop: float = 0.05
    max_false_alarms: float = 0.2
    least_gain: float = 0.1

    def __post_init__(self) -> None:
        if self.detector not in (BEST, *DETECTORS):
            raise ValueError(f"detector must be one of {', '.join((BEST, *DETECTORS))}")
        unknown = sorted(set(self.compare) - set(DETECTORS))
        if unknown or not self.compare:
            raise ValueError(f"compare must name some of {', '.join(DETECTORS)}")
        if not all(0.0 < aim < 1.0 for aim in (self.aim_false_alarms, self.aim_missed)):
            raise ValueError("aim_false_alarms and aim_missed must lie between 0 and 1")
        if not 0.0 < self.aim_unlabelled < 1.0:
            raise ValueError("aim_unlabelled must lie between 0 and 1")


class AnomalyTrainer(Component):
    """Learns normal rows with every detector, measures all of them, and takes one."""

    INPUTS = {"series": SERIES, "features": FEATURES}
    OPTIONAL_INPUTS = {
        f"{network}_{part}": type_
        for network in NETWORKS
        for part, type_ in (
            ("float", MODEL),
            ("model", INT8_MODEL),
            ("validation", INFRA_VALIDATION),
        )
    }
    OUTPUTS = {"model": ANOMALY_MODEL, "evaluation": EVALUATION}
    PARAMETERS = AnomalyTrainerParameters
    EXECUTOR = "components.anomaly_trainer.executor:execute"

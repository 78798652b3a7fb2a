"""Executor of AnomalyTrainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from components.anomaly_trainer import evaluation as evaluating
from components.anomaly_trainer import files
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.files import Log
from components.artifacts import write_gates, write_json
from components.base import Inputs, Metrics, Outputs, UserError, warn
from edge_agent.anomaly.alarm import AlarmPolicy
from edge_agent.anomaly.autoencoder import AutoencoderSettings
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.pca import PcaSettings
from edge_agent.anomaly.scoring import PARTS, Scorer, ScoringSettings
from edge_agent.anomaly.threshold import ThresholdRule
from edge_agent.anomaly.wandering import WanderingSettings

_TAUGHT_BY = 0.1  # most anomalous rows that a warm-up may hold


def execute(inputs: Inputs, outputs: Outputs, parameters: AnomalyTrainerParameters) -> Metrics:
    """Learns, measures, and writes both.

    Raises:
        UserError: for files that cannot be read, or that hold nothing normal to learn from.
    """
    folder = inputs["rows"]
    paths = files.find(folder)
    channels = list(parameters.channels) or files.columns(
        paths[0], parameters.label, parameters.ignore
    )
    logs = usable(
        [
            files.read(path, str(path.relative_to(folder)), channels, parameters.label)
            for path in paths
        ],
        parameters.warm_up_rows,
    )
    try:
        scorer = Scorer(scoring_settings(parameters))
        scorer.learn(np.concatenate([log.rows[: parameters.warm_up_rows] for log in logs]))
    except ValueError as e:
        raise UserError(f"AnomalyTrainer: {e}") from e
    found = evaluating.evaluate(scorer, logs)
    np.savez(outputs["model"] / "parameters.npz", **scorer.parameters())
    np.save(outputs["model"] / "normal.npy", logs[0].rows)
    write_json(
        outputs["model"] / "model.json",
        {
            "channels": channels,
            "scoring": dataclasses.asdict(scorer.settings),
            "files": [log.name for log in logs],
            "params": sum(array.size for array in scorer.parameters().values()),
            "bytes": sum(array.nbytes for array in scorer.parameters().values()),
        },
    )
    write_json(outputs["evaluation"] / "evaluation.json", found)
    write_gates(
        outputs["evaluation"],
        evaluating.gates(found, parameters.max_false_alarms, parameters.least_gain),
    )
    return {name: value for name, value in found.items() if isinstance(value, float)}


def scoring_settings(parameters: AnomalyTrainerParameters) -> ScoringSettings:
    """What the device is told.

    Raises:
        ValueError: if the parameters do not fit each other.
    """
    wandering = None
    if parameters.wandering_limit:
        wandering = WanderingSettings(
            limit=parameters.wandering_limit, alpha=parameters.wandering_alpha
        )
    return ScoringSettings(
        detectors=_detectors(parameters),
        threshold=ThresholdRule(kind="peaks", rate=parameters.rate, margin=parameters.margin),
        alarm=AlarmPolicy(persistence=parameters.persistence),
        normaliser=parameters.normaliser,
        wandering=wandering,
        smoothing=parameters.smoothing,
        warm_up_rows=parameters.warm_up_rows,
        per_machine=PARTS,
    )


def _detectors(parameters: AnomalyTrainerParameters) -> DetectorSettings:
    if parameters.detector == "autoencoder":
        settings = AutoencoderSettings(
            lags=parameters.lags, hidden=parameters.hidden, bottleneck=parameters.bottleneck
        )
        return DetectorSettings(autoencoder=settings)
    return DetectorSettings(pca=PcaSettings(lags=parameters.lags, variance=parameters.variance))


def usable(logs: Sequence[Log], warm_up_rows: int) -> list[Log]:
    """The files that are longer than the warm-up and normal in it; warns of the others.

    Raises:
        UserError: if there are none.
    """
    kept = []
    for log in logs:
        share = float(log.labels[:warm_up_rows].mean()) if len(log.rows) else 0.0
        if len(log.rows) <= warm_up_rows:
            warn(f"{log.name}: left out: {len(log.rows)} rows, and {warm_up_rows} are the warm-up")
        elif share > _TAUGHT_BY:
            warn(f"{log.name}: left out: {100 * share:.0f}% of its warm-up is labelled anomalous")
        else:
            kept.append(log)
    if not kept:
        raise UserError(
            f"no file has more than {warm_up_rows} rows of which the first {warm_up_rows} are "
            "normal: there is nothing normal to learn from; give longer logs, or set "
            "AnomalyTrainer.warm_up_rows"
        )
    return kept

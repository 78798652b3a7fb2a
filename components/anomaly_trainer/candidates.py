"""Every detector that is compared, with the same scoring around it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.anomaly_trainer.component import NETWORKS, AnomalyTrainerParameters
from components.artifacts import Gate, read_json
from components.base import Inputs
from components.infra_validator.candidate import candidate_gates
from components.series_transform.preprocessing import Preprocessing
from edge_agent.anomaly.alarm import AlarmPolicy
from edge_agent.anomaly.autoencoder import AutoencoderSettings
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.gaussian import GaussianSettings
from edge_agent.anomaly.half_space import HalfSpaceSettings
from edge_agent.anomaly.network import Int8Network, NetworkSettings
from edge_agent.anomaly.pca import PcaSettings
from edge_agent.anomaly.scoring import PARTS, Scorer, ScoringSettings
from edge_agent.anomaly.threshold import ThresholdRule
from edge_agent.anomaly.zscore import ZScoreSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network that was trained, converted and validated.

    Attributes:
        float_model: the tf_keras file that it was converted from.
        model: the .tflite file.
        conversion: conversion.json.
        infra: infra_validation.json.
        gates: what InfraValidator decided.
    """

    float_model: Path
    model: Path
    conversion: dict[str, Any]
    infra: dict[str, Any]
    gates: tuple[Gate, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """One detector: the scoring around it, and its network if it is one."""

    scoring: ScoringSettings
    network: TrainedNetwork | None = None

    def stretched(self, stretch: float) -> Candidate:
        """The same with its threshold so many times as far above the middle."""
        rule = dataclasses.replace(self.scoring.threshold, stretch=stretch)
        return dataclasses.replace(self, scoring=dataclasses.replace(self.scoring, threshold=rule))

    def scorer(self) -> Scorer:
        """A scorer that has learned nothing."""
        if self.network is None:
            return Scorer(self.scoring)
        return Scorer(self.scoring, Int8Network(self.network.model.read_bytes()))


def read_networks(inputs: Inputs) -> dict[str, TrainedNetwork]:
    """The networks among the inputs of AnomalyTrainer, by name."""
    found = {}
    for name in NETWORKS:
        parts = [inputs.get(f"{name}_{part}") for part in ("float", "model", "validation")]
        trained, converted, validated = parts
        if trained is None or converted is None or validated is None:
            continue
        found[name] = TrainedNetwork(
            float_model=trained / "model.h5",
            model=converted / "model.tflite",
            conversion=read_json(converted / "conversion.json"),
            infra=read_json(validated / "infra_validation.json"),
            gates=tuple(candidate_gates(validated)),
        )
    return found


def candidates(
    parameters: AnomalyTrainerParameters,
    preprocessing: Preprocessing,
    warm_up_rows: int,
    networks: Mapping[str, TrainedNetwork],
) -> dict[str, Candidate]:
    """Those that are to be compared, by name.

    Raises:
        ValueError: if the parameters do not fit each other.
    """
    p = parameters
    pca = PcaSettings(lags=p.lags, variance=p.variance)
    ewma = ZScoreSettings(alpha=p.ewma_alpha)
    settings = {
        "pca": DetectorSettings(pca=pca),
        "ewma": DetectorSettings(z_score=ewma),
        "robust_z_score": DetectorSettings(z_score=ZScoreSettings(alpha=1.0)),
        "gaussian": DetectorSettings(
            gaussian=GaussianSettings(alphas=p.gaussian_alphas, shorts=p.gaussian_shorts)
        ),
        "half_space": DetectorSettings(half_space=HalfSpaceSettings()),
        "autoencoder": DetectorSettings(
            autoencoder=AutoencoderSettings(lags=p.lags, hidden=p.hidden, bottleneck=p.bottleneck)
        ),
        "pca_and_ewma": DetectorSettings(pca=pca, z_score=ewma),
    }
    scoring = ScoringSettings(
        detectors=settings["pca"],
        threshold=ThresholdRule(kind=p.threshold, rate=p.rate),
        alarm=AlarmPolicy(persistence=p.persistence),
        normaliser=preprocessing.normaliser,
        wandering=preprocessing.wandering,
        smoothing=p.smoothing,
        warm_up_rows=warm_up_rows,
        per_machine=PARTS if warm_up_rows else (),
        hold_rows=None if preprocessing.senses is None else p.hold_rows,
        senses=preprocessing.senses,
    )
    found = {
        name: Candidate(scoring=dataclasses.replace(scoring, detectors=detectors))
        for name, detectors in settings.items()
    }
    robust = dataclasses.replace(found["robust_z_score"].scoring, normaliser="robust")
    found["robust_z_score"] = Candidate(scoring=robust)
    for name, network in networks.items():
        of_network = NetworkSettings(
            task="forecast" if name == "forecaster" else "reconstruct",
            window=preprocessing.window,
        )
        detectors = DetectorSettings(network=of_network)
        found[name] = Candidate(
            scoring=dataclasses.replace(scoring, detectors=detectors), network=network
        )
    dense = found.get("dense_autoencoder")
    if dense is not None:
        both = dataclasses.replace(dense.scoring.detectors, pca=pca)
        found["pca_and_dense_autoencoder"] = dataclasses.replace(
            dense, scoring=dataclasses.replace(scoring, detectors=both)
        )
    return {name: candidate for name, candidate in found.items() if name in p.compare}

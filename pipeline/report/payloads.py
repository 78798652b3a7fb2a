"""What the report reads out of the artifacts of a run; whatever is not there is None."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_json
from edge_agent.bundle import archive

_CARD = "model_card.md"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Payloads:
    """The parsed payloads of a run's artifacts (keys as in components.artifacts).

    Attributes:
        evaluation: evaluation.json.
        infra_validation: infra_validation.json.
        conversion: conversion.json of the model as the device runs it.
        features: features.json.
        examples: examples.json.
        statistics: statistics.json.
        anomalies: anomalies.json.
        release: release.json.
        histories: training curves, by the id of the step that trained, in the run's order.
        model_card: the bundle's model card, Markdown.
        series: evaluation.json of a recipe that watches rows.
        traces: the arrays of its traces.npz, by name.
    """

    evaluation: dict[str, Any] | None = None
    infra_validation: dict[str, Any] | None = None
    conversion: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    examples: dict[str, Any] | None = None
    statistics: dict[str, Any] | None = None
    anomalies: list[dict[str, str]] | None = None
    release: dict[str, Any] | None = None
    histories: Mapping[str, dict[str, list[float]]] = dataclasses.field(default_factory=dict)
    model_card: str | None = None
    series: dict[str, Any] | None = None
    traces: Mapping[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)


def read_payloads(artifacts: Mapping[str, Path]) -> Payloads:
    """Reads what is there of ``{"ComponentId.output": folder}``."""

    def payload(artifact: str, file: str) -> Any:
        folder = artifacts.get(artifact)
        return read_json(folder / file) if folder and (folder / file).is_file() else None

    return Payloads(
        evaluation=payload("Evaluator.evaluation", "evaluation.json"),
        infra_validation=payload("InfraValidator.result", "infra_validation.json"),
        conversion=payload("Streamer.model", "conversion.json")
        or payload("Converter.model", "conversion.json"),
        features=payload("Transform.features", "features.json"),
        examples=payload("ExampleGen.examples", "examples.json"),
        statistics=payload("StatisticsGen.statistics", "statistics.json"),
        anomalies=payload("ExampleValidator.validation", "anomalies.json"),
        release=payload("Pusher.release", "release.json"),
        histories={
            name.partition(".")[0]: read_json(folder / "history.json")
            for name, folder in artifacts.items()
            if (folder / "history.json").is_file()
        },
        model_card=_model_card(artifacts.get("Packager.bundle")),
        series=payload("AnomalyTrainer.evaluation", "evaluation.json"),
        traces=_arrays(artifacts.get("AnomalyTrainer.evaluation")),
    )


def _arrays(folder: Path | None) -> dict[str, npt.NDArray[Any]]:
    path = None if folder is None else folder / "traces.npz"
    if path is None or not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _model_card(folder: Path | None) -> str | None:
    if folder is None or not (folder / "candidate.bundle").is_file():
        return None
    try:
        files = archive.read(folder / "candidate.bundle").files
    except archive.BundleError:
        return None
    return files[_CARD].decode("utf-8", "replace") if _CARD in files else None

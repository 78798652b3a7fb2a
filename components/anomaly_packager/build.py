"""A bundle for anomaly detection from normal rows: learned, packed, and nothing else needed."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import edge_agent
from edge_agent.anomaly.rows import Rows
from edge_agent.anomaly.scoring import Scorer, ScoringSettings
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import (
    AUTOENCODER_SCHEMA_VERSION,
    NETWORK_SCHEMA_VERSION,
    SCHEMA_VERSION,
    SENSES_SCHEMA_VERSION,
    AnomalyManifest,
    AnomalyNetwork,
    Budget,
    Channel,
    Envelope,
    GoldenRows,
    Operator,
    encode_manifest,
)
from edge_agent.features.series import VibrationFeatures

_GOLDEN = GoldenRows(rows="golden/rows.npy", scores="golden/scores.npy", tolerance=1e-3)
_GOLDEN_AFTER_WARM_UP = 64
_NETWORK = "network.tflite"
# A step of the network's output moves a score by more than float rounding does.
_NETWORK_TOLERANCE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """What a bundle says of itself beyond what was learned.

    Attributes:
        name: the model family; releases of one name follow each other.
        licence: an SPDX expression or a sentence.
        lineage: digest of what led here.
        card: the model card, Markdown.
        alarms_per_hour: most alarms an hour that a trial may show.
    """

    name: str
    licence: str
    lineage: str
    card: str
    alarms_per_hour: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedNetwork:
    """The network of a bundle.

    Attributes:
        model: the .tflite file's bytes.
        conversion: conversion.json.
        infra: infra_validation.json.
    """

    model: bytes
    conversion: Mapping[str, Any]
    infra: Mapping[str, Any]


def build(
    scorer: Scorer,
    channels: Sequence[str],
    normal: Rows,
    identity: Identity,
    budget: Budget,
    network: PackedNetwork | None = None,
    vibration: VibrationFeatures | None = None,
) -> bytes:
    """The bytes of a bundle.

    Args:
        scorer: that has learned.
        channels: names of the columns.
        normal: normal rows in the order of time; the first of them become the golden rows.
        identity: what it says of itself.
        budget: what a row may cost on the device.
        network: the one that the scorer's settings name, if they name one.
        vibration: how the rows are made of a signal, if they are.

    Raises:
        ValueError: if a name cannot stand in a bundle.
    """
    settings: ScoringSettings = scorer.settings
    rows = np.ascontiguousarray(normal[: settings.warm_up_rows + _GOLDEN_AFTER_WARM_UP])
    scorer.restart()
    scores = scorer.process(rows).score
    warm = scores[settings.warm_up_rows :]
    parameters = scorer.parameters()
    names = {name: f"parameters/{name}.npy" for name in parameters}
    files = {
        _GOLDEN.rows: _npy(rows),
        _GOLDEN.scores: _npy(scores),
        "model_card.md": identity.card.encode(),
        **{names[name]: _npy(array) for name, array in parameters.items()},
        **({} if network is None else {_NETWORK: network.model}),
    }
    manifest = AnomalyManifest(
        schema_version=_schema_version(settings, vibration),
        name=identity.name,
        workload="anomaly_detection",
        targets=() if network is None else _targets(network),
        minimum={"agent": edge_agent.__version__},
        budget=budget,
        envelope=Envelope(
            triggers_per_hour=identity.alarms_per_hour,
            score_mean=(0.0, round(float(max(warm.mean(), scorer.threshold)), 4)),
            crashes=0,
        ),
        licence=identity.licence,
        lineage=identity.lineage,
        files=archive.describe_files(files),
        channels=tuple(
            Channel(name=name, longest_still=longest_still(normal[:, place]))
            for place, name in enumerate(channels)
        ),
        scoring=settings,
        parameters=names,
        golden=_GOLDEN
        if network is None
        else dataclasses.replace(_GOLDEN, tolerance=_NETWORK_TOLERANCE),
        network=None if network is None else _described(network),
        vibration=vibration,
    )
    data = archive.pack(encode_manifest(manifest), files)
    archive.unpack(data)
    return data


def longest_still(values: npt.NDArray[np.float64]) -> int:
    """Most values in a row that are equal."""
    changes = np.flatnonzero(np.diff(values) != 0)
    edges = np.concatenate([[-1], changes, [len(values) - 1]])
    return max(1, int(np.diff(edges).max()))


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _schema_version(settings: ScoringSettings, vibration: VibrationFeatures | None) -> str:
    if settings.hold_rows is not None:
        return SENSES_SCHEMA_VERSION
    if settings.detectors.network is not None or vibration is not None:
        return NETWORK_SCHEMA_VERSION
    return SCHEMA_VERSION if settings.detectors.autoencoder is None else AUTOENCODER_SCHEMA_VERSION


def _targets(network: PackedNetwork) -> tuple[str, ...]:
    return tuple(target["target"] for target in network.infra["targets"] if target["ok"])


def _described(network: PackedNetwork) -> AnomalyNetwork:
    return AnomalyNetwork(
        model=_NETWORK,
        operators=tuple(Operator(**operator) for operator in network.conversion["operators"]),
        arena_bytes=network.infra["arena_bytes"] or 0,
        macs=network.conversion["macs"],
    )

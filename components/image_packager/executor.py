"""Executor of the ImagePackager."""

from __future__ import annotations

import edge_agent
from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs
from components.image_packager.component import ImagePackagerParameters
from components.image_packager.model_card import picture_card
from components.packager.proofs import check_set, golden_vectors, lineage
from components.training.data import FeatureSet
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import (
    IMAGE_SCHEMA_VERSION,
    Budget,
    Envelope,
    ImageManifest,
    Operator,
    encode_manifest,
)

_MODEL = "model.tflite"
_CARD = "model_card.md"
_MINIMUM = {"agent": edge_agent.__version__, "tflite_runtime": "2.14.0", "litert": "2.0.0"}


def execute(inputs: Inputs, outputs: Outputs, parameters: ImagePackagerParameters) -> Metrics:
    """Gathers what a device needs, writes the bundle, and reads it back as a device would."""
    features = FeatureSet.open(inputs["features"])
    evaluation = read_json(inputs["evaluation"] / "evaluation.json")
    infra = read_json(inputs["infra_validation"] / "infra_validation.json")
    conversion = read_json(inputs["model"] / "conversion.json")
    model = (inputs["model"] / "model.tflite").read_bytes()
    golden, golden_files = golden_vectors(
        model, features, infra, parameters.golden_vectors, parameters.golden_tolerance
    )
    check, check_files = check_set(model, features, parameters.check_clips)
    card = picture_card(
        name=parameters.name,
        licence=parameters.licence,
        examples=read_json(inputs["examples"] / "examples.json"),
        features=features.description,
        model=read_json(inputs["trained"] / "model.json"),
        conversion=conversion,
        evaluation=evaluation,
        infra_validation=infra,
    )
    files = {_MODEL: model, _CARD: card.encode(), **golden_files, **check_files}
    manifest = ImageManifest(
        schema_version=IMAGE_SCHEMA_VERSION,
        name=parameters.name,
        workload="image_classification",
        targets=tuple(t["target"] for t in infra["targets"] if t["ok"]),
        features=features.picture,
        labels=features.labels,
        model=_MODEL,
        operators=tuple(Operator(**op) for op in conversion["operators"]),
        arena_bytes=infra["arena_bytes"] or 0,
        macs=infra["macs"],
        minimum=_MINIMUM,
        budget=Budget(latency_ms=parameters.latency_ms, memory_bytes=parameters.memory_bytes),
        envelope=Envelope(
            triggers_per_hour=0.0,
            score_mean=tuple(round(s, 4) for s in evaluation["score_mean"]),
            crashes=0,
        ),
        licence=parameters.licence,
        lineage=lineage(inputs, ("features", "model")),
        golden=golden,
        check_set=check,
        files=archive.describe_files(files),
    )
    data = archive.pack(encode_manifest(manifest), files)
    path = outputs["bundle"] / "candidate.bundle"
    path.write_bytes(data)
    archive.read(path)
    return {"bytes": float(len(data))}

"""Executor of the Packager."""

from __future__ import annotations

import collections
import dataclasses
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import edge_agent
from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.converter.streaming import StreamingForm
from components.early_exit.trained import TrainedExit, read_early_exit
from components.gate_trainer.trained import TrainedGate, read_gate
from components.infra_validator.reference import reference_outputs
from components.packager.adaptation import adaptation
from components.packager.component import PackagerParameters
from components.packager.model_card import model_card
from components.packager.proofs import check_set, golden_vectors, lineage, npy
from components.streamer.made import read_streaming
from components.training.data import FeatureSet
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import (
    ADAPTABLE_SCHEMA_VERSION,
    EARLY_EXIT_SCHEMA_VERSION,
    GATED_SCHEMA_VERSION,
    ROOM_SCHEMA_VERSION,
    SCHEMA_VERSION,
    STREAMING_SCHEMA_VERSION,
    Budget,
    DetectionPolicy,
    Envelope,
    Gate,
    Golden,
    KeywordManifest,
    Operator,
    Stage,
    encode_manifest,
)
from edge_agent.decoding import decode
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.runtime import Runtime

_MODEL = "model.tflite"
_CARD = "model_card.md"
_GATE = "gate.tflite"
_GATE_OUTPUTS = "golden/gate_outputs.npy"
_MINIMUM = {"agent": edge_agent.__version__, "tflite_runtime": "2.14.0", "litert": "2.0.0"}
_RUNTIMES: dict[str, Runtime] = {"litert": "litert", "tflite_runtime": "tflite_runtime"}


def execute(inputs: Inputs, outputs: Outputs, parameters: PackagerParameters) -> Metrics:
    """Gathers what a device needs, writes the bundle, and reads it back as a device would."""
    features = FeatureSet.open(inputs["features"])
    evaluation = read_json(inputs["evaluation"] / "evaluation.json")
    infra = read_json(inputs["infra_validation"] / "infra_validation.json")
    conversion = read_json(inputs["device_model"] / "conversion.json")
    model = (inputs["model"] / "model.tflite").read_bytes()
    shipped = (inputs["device_model"] / "model.tflite").read_bytes()
    form = read_streaming(inputs["device_model"] / "model.tflite")
    window = features.frames if form is None else form.window
    golden, golden_files = golden_vectors(
        model, features, infra, parameters.golden_vectors, parameters.golden_tolerance, window
    )
    check, check_files = check_set(model, features, parameters.check_clips, window)
    gate = read_gate(inputs.get("gate"))
    policy = evaluation["policy"]
    card = model_card(
        name=parameters.name,
        licence=parameters.licence,
        examples=read_json(inputs["examples"] / "examples.json"),
        features=features.description,
        model=read_json(inputs["trained"] / "model.json"),
        conversion=conversion,
        evaluation=evaluation,
        infra_validation=infra,
        form=form,
    )
    files = {_MODEL: shipped, _CARD: card.encode(), **golden_files, **check_files}
    schema_version = SCHEMA_VERSION if gate is None else GATED_SCHEMA_VERSION
    if form is not None:
        schema_version = STREAMING_SCHEMA_VERSION
    if gate is not None:
        files |= _gate_files(gate, files[golden.inputs])
    early_exit = read_early_exit(inputs.get("early_exit"))
    if early_exit is not None:
        files |= _early_exit_files(early_exit, files[golden.inputs])
        golden = _holding_for_exit(golden, early_exit, files)
    learning, head_files = adaptation(model, shipped, features, parameters.replay_clips)
    files |= head_files
    schema_version = ADAPTABLE_SCHEMA_VERSION if learning else schema_version
    chosen = decode(DetectionPolicy, policy)
    if chosen.room is not None:
        schema_version = ROOM_SCHEMA_VERSION
    schema_version = EARLY_EXIT_SCHEMA_VERSION if early_exit else schema_version
    manifest = KeywordManifest(
        schema_version=schema_version,
        name=parameters.name,
        workload="keyword_spotting",
        targets=tuple(t["target"] for t in infra["targets"] if t["ok"]),
        features=features.features,
        labels=features.labels,
        stages=_stages(features, gate, form),
        policy=chosen,
        operators=_operators(
            conversion["operators"],
            gate.operators if gate else (),
            early_exit.operators if early_exit else (),
        ),
        arena_bytes=infra["arena_bytes"] or 0,
        macs=infra["macs"],
        minimum=_MINIMUM,
        budget=Budget(latency_ms=parameters.latency_ms, memory_bytes=parameters.memory_bytes),
        envelope=_envelope(evaluation, parameters),
        warm_up_frames=window + (policy["smoothing"] - 1) * policy["hop_frames"],
        licence=parameters.licence,
        lineage=lineage(
            inputs,
            (
                "features",
                "model",
                *(("gate",) if gate else ()),
                *(("early_exit",) if early_exit else ()),
            ),
        ),
        golden=golden,
        check_set=check,
        adaptation=learning,
        early_exit=early_exit.stated if early_exit else None,
        files=archive.describe_files(files),
    )
    data = archive.pack(encode_manifest(manifest), files)
    path = outputs["bundle"] / "candidate.bundle"
    path.write_bytes(data)
    bundle = archive.read(path)
    if form is not None:
        _prove(bundle, golden)
    return {"bytes": float(len(data))}


def _prove(bundle: archive.Bundle, golden: Golden) -> None:
    """Holds the form that the device runs against the golden vectors, which are of the other one."""
    codes, wanted = bundle.array(golden.inputs), bundle.array(golden.outputs).astype(int)
    for name, tolerance in golden.tolerance.items():
        model = KeywordClassifier(bundle.manifest, bundle.files, runtime=_RUNTIMES[name]).model
        found = np.stack([model.invoke(window) for window in codes.astype(np.int8)])
        off = int(np.abs(found - wanted).max())
        if off > tolerance:
            raise UserError(
                f"the streaming form differs on {name} by {off} steps from the golden outputs, and "
                f"{tolerance} are allowed: set Streamer.form=sliding_window"
            )


def _stages(
    features: FeatureSet, gate: TrainedGate | None, form: StreamingForm | None
) -> tuple[Stage, ...]:
    classifier = Stage(
        name="classifier", model=_MODEL, mode="sliding_window", frames=features.frames
    )
    if form is not None:
        return (
            dataclasses.replace(
                classifier,
                mode="streaming",
                frames=form.frames,
                state=form.state,
                window=form.window,
            ),
        )
    if gate is None:
        return (classifier,)
    opening = Stage(
        name="gate",
        model=_GATE,
        mode="sliding_window",
        frames=features.frames,
        gate=Gate(opens_at=gate.opens_at, macs=gate.macs, golden_outputs=_GATE_OUTPUTS),
    )
    return opening, dataclasses.replace(classifier, gated_by=opening.name)


def _gate_files(gate: TrainedGate, golden_inputs: bytes) -> dict[str, bytes]:
    model = gate.path.read_bytes()
    codes = np.load(io.BytesIO(golden_inputs), allow_pickle=False)
    return {_GATE: model, _GATE_OUTPUTS: npy(reference_outputs(model, codes))}


def _early_exit_files(early_exit: TrainedExit, golden_inputs: bytes) -> dict[str, bytes]:
    stated = early_exit.stated
    models = {
        name: (early_exit.folder / name).read_bytes()
        for name in (stated.trunk, stated.exit, stated.rest)
    }
    codes = np.load(io.BytesIO(golden_inputs), allow_pickle=False)
    passed = reference_outputs(models[stated.trunk], codes)
    return models | {stated.golden_outputs: npy(reference_outputs(models[stated.exit], passed))}


def _holding_for_exit(
    golden: Golden, early_exit: TrainedExit, files: Mapping[str, bytes]
) -> Golden:
    """`golden` with tolerances that hold for the exit too.

    An exit may make more of what its trunk's last bits differ between runtimes than the whole network does.
    """
    codes, wanted = (
        np.load(io.BytesIO(files[name]), allow_pickle=False).astype(np.int8)
        for name in (golden.inputs, early_exit.stated.golden_outputs)
    )
    tolerance = {}
    for name, least in golden.tolerance.items():
        early = early_exit.opened(_RUNTIMES[name]).early
        found = np.stack([early.invoke(window) for window in codes]).astype(int)
        tolerance[name] = max(least, 2 * int(np.abs(found - wanted).max()))
    return dataclasses.replace(golden, tolerance=tolerance)


def _operators(*models: Sequence[Mapping[str, Any]]) -> tuple[Operator, ...]:
    """The operators of all models, each name and version once."""
    counts: collections.Counter[tuple[str, int]] = collections.Counter()
    for operator in itertools.chain(*models):
        counts[operator["name"], operator["version"]] += operator["count"]
    return tuple(Operator(name=n, version=v, count=c) for (n, v), c in sorted(counts.items()))


def _envelope(evaluation: Mapping[str, Any], p: PackagerParameters) -> Envelope:
    return Envelope(
        triggers_per_hour=round(
            p.envelope_factor * max(1.0, evaluation["false_accepts"]["per_hour"]), 3
        ),
        score_mean=tuple(round(s, 4) for s in evaluation["score_mean"]),
        crashes=0,
    )

"""Executor of the Packager."""

from __future__ import annotations

import collections
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import edge_agent
from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.converter.streaming import StreamingForm, streaming_form
from components.gate_trainer.trained import TrainedGate, read_gate
from components.infra_validator.reference import reference_outputs
from components.packager.adaptation import adaptation
from components.packager.component import PackagerParameters
from components.packager.model_card import model_card
from components.packager.proofs import check_set, golden_vectors, lineage, npy
from components.targets.flatbuffer import parse_graph
from components.targets.graph import Graph
from components.targets.lint import lint
from components.targets.profile import load_profile
from components.training.data import FeatureSet
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import (
    ADAPTABLE_SCHEMA_VERSION,
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


def execute(inputs: Inputs, outputs: Outputs, parameters: PackagerParameters) -> Metrics:
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
    gate = read_gate(inputs.get("gate"))
    policy = evaluation["policy"]
    form = _STREAMS[parameters.form](model, policy["hop_frames"], gate)
    stages = _stages(features, gate, form)
    card = model_card(
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
    operators, macs, arena_bytes = conversion["operators"], infra["macs"], infra["arena_bytes"] or 0
    targets = tuple(t["target"] for t in infra["targets"] if t["ok"])
    schema_version = SCHEMA_VERSION if gate is None else GATED_SCHEMA_VERSION
    if form is not None:
        graph = parse_graph(form.model)
        files[_MODEL], schema_version = form.model, STREAMING_SCHEMA_VERSION
        operators, macs = [dataclasses.asdict(count) for count in graph.counts], graph.macs
        arena_bytes = 0  # the arena was measured of the whole-window form
        targets = tuple(target for target in targets if _takes(target, graph))
    if gate is not None:
        files |= _gate_files(gate, files[golden.inputs])
    learning, head_files = adaptation(model, files[_MODEL], features, parameters.replay_clips)
    files |= head_files
    schema_version = ADAPTABLE_SCHEMA_VERSION if learning else schema_version
    chosen = decode(DetectionPolicy, policy)
    if chosen.room is not None:
        schema_version = ROOM_SCHEMA_VERSION
    manifest = KeywordManifest(
        schema_version=schema_version,
        name=parameters.name,
        workload="keyword_spotting",
        targets=targets,
        features=features.features,
        labels=features.labels,
        stages=stages,
        policy=chosen,
        operators=_operators(operators, gate),
        arena_bytes=arena_bytes,
        macs=macs,
        minimum=_MINIMUM,
        budget=Budget(latency_ms=parameters.latency_ms, memory_bytes=parameters.memory_bytes),
        envelope=_envelope(evaluation, parameters),
        warm_up_frames=features.frames + (policy["smoothing"] - 1) * policy["hop_frames"],
        licence=parameters.licence,
        lineage=lineage(inputs, ("features", "model", *(("gate",) if gate else ()))),
        golden=golden,
        check_set=check,
        adaptation=learning,
        files=archive.describe_files(files),
    )
    data = archive.pack(encode_manifest(manifest), files)
    path = outputs["bundle"] / "candidate.bundle"
    path.write_bytes(data)
    bundle = archive.read(path)
    if form is not None:
        _prove(bundle, golden)
    return {"bytes": float(len(data))}


def _streaming(model: bytes, hop_frames: int, gate: TrainedGate | None) -> StreamingForm:
    if gate is not None:
        raise UserError(
            "a gate leaves windows out, and a streaming classifier must see each: train no gate, or "
            "set Packager.form=sliding_window"
        )
    try:
        return streaming_form(model, hop_frames)
    except UserError as e:
        raise UserError(
            f"Packager.form=streaming, Evaluator.hop_frames={hop_frames}: {e}; or set "
            "Packager.form=sliding_window"
        ) from e


_STREAMS: dict[str, Callable[[bytes, int, TrainedGate | None], StreamingForm | None]] = {
    "sliding_window": lambda *_: None,
    "streaming": _streaming,
}


def _takes(target: str, graph: Graph) -> bool:
    """Whether the target takes the form that the device runs; False for one that is not known by name."""
    try:
        return lint(graph, load_profile(target))["ok"]
    except UserError:
        return False


def _prove(bundle: archive.Bundle, golden: Golden) -> None:
    """Holds the form that the device runs against the golden vectors, which are of the other one."""
    codes, wanted = bundle.array(golden.inputs), bundle.array(golden.outputs).astype(int)
    runtimes: dict[str, Runtime] = {"litert": "litert", "tflite_runtime": "tflite_runtime"}
    for name, tolerance in golden.tolerance.items():
        model = KeywordClassifier(bundle.manifest, bundle.files, runtime=runtimes[name]).model
        found = np.stack([model.invoke(window) for window in codes.astype(np.int8)])
        off = int(np.abs(found - wanted).max())
        if off > tolerance:
            raise UserError(
                f"the streaming form differs on {name} by {off} steps from the golden outputs, and "
                f"{tolerance} are allowed: set Packager.form=sliding_window"
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


def _operators(
    classifier: Sequence[Mapping[str, Any]], gate: TrainedGate | None
) -> tuple[Operator, ...]:
    """The operators of all stages, each name and version once."""
    counts: collections.Counter[tuple[str, int]] = collections.Counter()
    for operator in (*classifier, *(gate.operators if gate else ())):
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

"""The executor of InfraValidator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import Gate, read_json, write_gates, write_json
from components.base import Inputs, Metrics, Outputs, Progress, UserError, warn
from components.early_exit.trained import TrainedExit, read_early_exit
from components.gate_trainer.trained import read_gate
from components.infra_validator import gates as decide
from components.infra_validator.child_process import Failed
from components.infra_validator.component import InfraValidatorParameters
from components.infra_validator.measure import Measured, measure
from components.infra_validator.parity import NOT_RUN, Parity, compare
from components.infra_validator.reference import Int8
from components.infra_validator.vela import Estimate, NotCompiled, estimate
from components.targets.flatbuffer import read_graph
from components.targets.graph import Graph, GraphError
from components.targets.lint import lint
from components.targets.profile import Profile, load_profile, profile_names
from edge_agent.runtime import open_model

_RUNTIMES = ("tflite_runtime", "litert", "tflm")


def execute(inputs: Inputs, outputs: Outputs, parameters: InfraValidatorParameters) -> Metrics:
    """Writes ``infra_validation.json`` and ``gates.json``; gives arena, macs, latencies."""
    declared = [load_profile(name) for name in parameters.targets]
    codes = _windows(inputs["features"], parameters)
    gate = read_gate(inputs.get("gate"))
    early_exit = read_early_exit(inputs.get("early_exit"))
    beside = {"gate": (gate.path, codes)} if gate else {}
    if early_exit is not None:
        beside |= _parts(early_exit, codes)
    progress = Progress((1 + len(beside)) * (len(_RUNTIMES) + 2), "runtimes")
    classifier = inputs["model"] / "model.tflite"
    validated = [
        _validate(model, given, declared, parameters, progress, number)
        for number, (model, given) in enumerate([(classifier, codes), *beside.values()])
    ]
    content = _together(
        validated[0].content,
        {name: v.content for name, v in zip(beside, validated[1:], strict=True)},
    )
    held = dict(zip(("whole", *beside), validated, strict=True))
    if early_exit is not None:
        # The whole network's work and bytes are there already: of the parts, the exit alone comes on top.
        content["macs"] = validated[0].content["macs"] + early_exit.stated.exit_macs
        del held["rest"]
    decided = validated[0].gates + [
        dataclasses.replace(decision, name=f"{name}:{decision.name}")
        for name, stage in zip(beside, validated[1:], strict=True)
        for decision in stage.gates
    ]
    for profile in declared:
        decided += decide.budget_gates(
            profile,
            arena_bytes=content["arena_bytes"],
            flash_bytes=sum(v.size_bytes for v in held.values()),
            macs=content["macs"],
        )
    write_json(outputs["result"] / "infra_validation.json", content)
    write_gates(outputs["result"], decided)
    progress.at((1 + len(beside)) * (len(_RUNTIMES) + 2))
    latencies = {
        f"latency_ms_{name}": run["latency_ms"] for name, run in content["runtimes"].items()
    }
    arena = content["arena_bytes"]
    return {"macs": float(content["macs"]), "arena_bytes": float(arena or -1), **latencies}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Validated:
    """What was found out of one model.

    Attributes:
        content: its ``infra_validation.json``.
        gates: what was decided, but for the budgets.
        size_bytes: its file's size.
    """

    content: dict[str, Any]
    gates: list[Gate]
    size_bytes: int


def _validate(
    model: Path,
    codes: Int8,
    declared: list[Profile],
    parameters: InfraValidatorParameters,
    progress: Progress,
    number: int,
) -> _Validated:
    """Runs and lints one model, the `number`-th from 0."""
    try:
        graph = read_graph(model)
    except GraphError as e:
        raise UserError(str(e)) from e
    before = number * (len(_RUNTIMES) + 2)
    reference = measure("reference", model, codes, 1)
    runs: dict[str, Measured | Failed] = {}
    for done, runtime in enumerate(_RUNTIMES, start=1):
        progress.at(before + done, runtime)
        runs[runtime] = measure(runtime, model, codes, parameters.latency_runs)
    progress.at(before + len(_RUNTIMES) + 1, "vela")
    compiled = estimate(model, parameters.accelerator)
    content, decided = _judge(graph, declared, reference, runs, compiled)
    return _Validated(content=content, gates=decided, size_bytes=graph.size_bytes)


def _parts(early_exit: TrainedExit, codes: Int8) -> dict[str, tuple[Path, Int8]]:
    """The models of an early exit that take what its trunk gives, with what it gives for `codes`.

    The trunk's own operators are run and linted in the whole network, whose decisions tell of them too.
    """
    stated = early_exit.stated
    trunk = open_model((early_exit.folder / stated.trunk).read_bytes(), runtime="litert")
    passed = np.stack([trunk.invoke(np.ascontiguousarray(window)) for window in codes])
    return {
        "early_exit": (early_exit.folder / stated.exit, passed),
        "rest": (early_exit.folder / stated.rest, passed),
    }


def _together(classifier: dict[str, Any], beside: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The classifier's content; with others beside it, of all where one device runs them all."""
    if not beside:
        return classifier
    contents = [classifier, *beside.values()]
    arenas = [content["arena_bytes"] for content in contents]
    fits = {
        target["target"]: all(
            other["ok"]
            for content in contents
            for other in content["targets"]
            if other["target"] == target["target"]
        )
        for target in classifier["targets"]
    }
    return (
        classifier
        | beside
        | {
            "macs": sum(content["macs"] for content in contents),
            "arena_bytes": None if None in arenas else max(arenas),
            "targets": [
                target | {"ok": fits[target["target"]]} for target in classifier["targets"]
            ],
        }
    )


def _windows(features: Path, parameters: InfraValidatorParameters) -> Int8:
    """Validation windows without their margins, then random codes: (rows, frames, channels)."""
    margin = int(read_json(features / "features.json")["margin_frames"])
    codes = np.load(features / "val.codes.npy", mmap_mode="r", allow_pickle=False)
    if not len(codes):
        raise UserError("the features hold no validation clips: add recordings and run again")
    random = np.random.default_rng(parameters.seed)
    rows = np.sort(random.permutation(len(codes))[: parameters.rows])
    real = np.asarray(codes[rows, margin : codes.shape[1] - margin], np.int8)
    shape = (parameters.random_rows, *real.shape[1:])
    return np.concatenate([real, random.integers(-128, 128, shape, np.int8)])


def _judge(
    graph: Graph,
    declared: list[Profile],
    reference: Measured | Failed,
    runs: dict[str, Measured | Failed],
    compiled: Estimate | NotCompiled,
) -> tuple[dict[str, Any], list[Gate]]:
    if isinstance(compiled, NotCompiled):
        warn(f"Vela gives no estimate: {compiled.reason}")
    parities = {name: _parity(run, reference) for name, run in runs.items()}
    known = [load_profile(name) for name in profile_names()]
    others = [profile for profile in known if profile not in declared]
    verdicts = [lint(graph, profile) for profile in (*declared, *others)]
    content = {
        # A runtime that failed has no figures; its gate says why.
        "runtimes": {
            name: _runtime(run, parities[name])
            for name, run in runs.items()
            if isinstance(run, Measured)
        },
        "tflm_parity": dataclasses.asdict(parities["tflm"])
        | {"verdict": parities["tflm"].verdict if parities["tflm"].rows else "not run"},
        "arena_bytes": _arena(runs),
        "macs": graph.macs,
        "vela": dataclasses.asdict(compiled) if isinstance(compiled, Estimate) else None,
        "targets": verdicts,
    }
    decided = [
        decide.no_float_gate(graph),
        *decide.runtime_gates({"reference": reference, **runs}),
        *(decide.target_gate(verdict) for verdict in verdicts[: len(declared)]),
        decide.parity_gate(parities["tflm"]),
    ]
    return content, decided


def _parity(run: Measured | Failed, reference: Measured | Failed) -> Parity:
    if isinstance(run, Failed) or isinstance(reference, Failed):
        return NOT_RUN
    return compare(run.outputs, reference.outputs)


def _runtime(run: Measured, parity: Parity) -> dict[str, Any]:
    return {
        "version": run.version,
        "latency_ms": run.latency_ms,
        "max_lsb": parity.max_lsb,
        "decisions_equal": parity.decisions_equal,
    }


def _arena(runs: dict[str, Measured | Failed]) -> int | None:
    tflm = runs["tflm"]
    return tflm.arena_bytes if isinstance(tflm, Measured) else None

"""The executor of InfraValidator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import Gate, read_json, write_gates, write_json
from components.base import Inputs, Metrics, Outputs, Progress, UserError, warn
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

_RUNTIMES = ("tflite_runtime", "litert", "tflm")


def execute(inputs: Inputs, outputs: Outputs, parameters: InfraValidatorParameters) -> Metrics:
    """Writes ``infra_validation.json`` and ``gates.json``; gives arena, macs, latencies."""
    declared = [load_profile(name) for name in parameters.targets]
    model = inputs["model"] / "model.tflite"
    try:
        graph = read_graph(model)
    except GraphError as e:
        raise UserError(str(e)) from e
    codes = _windows(inputs["features"], parameters)
    progress = Progress(len(_RUNTIMES) + 2, "runtimes")
    reference = measure("reference", model, codes, 1)
    runs: dict[str, Measured | Failed] = {}
    for done, runtime in enumerate(_RUNTIMES, start=1):
        progress.at(done, runtime)
        runs[runtime] = measure(runtime, model, codes, parameters.latency_runs)
    progress.at(len(_RUNTIMES) + 1, "vela")
    compiled = estimate(model, parameters.accelerator)
    content, decided = _judge(graph, declared, reference, runs, compiled)
    write_json(outputs["result"] / "infra_validation.json", content)
    write_gates(outputs["result"], decided)
    progress.at(len(_RUNTIMES) + 2)
    latencies = {
        f"latency_ms_{name}": run.latency_ms
        for name, run in runs.items()
        if isinstance(run, Measured)
    }
    return {"macs": float(graph.macs), "arena_bytes": float(_arena(runs) or -1), **latencies}


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
    arena = _arena(runs)
    content = {
        # A runtime that failed has no figures; its gate says why.
        "runtimes": {
            name: _runtime(run, parities[name])
            for name, run in runs.items()
            if isinstance(run, Measured)
        },
        "tflm_parity": dataclasses.asdict(parities["tflm"])
        | {"verdict": parities["tflm"].verdict if parities["tflm"].rows else "not run"},
        "arena_bytes": arena,
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
    for profile in declared:
        decided += decide.budget_gates(
            profile, arena_bytes=arena, flash_bytes=graph.size_bytes, macs=graph.macs
        )
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

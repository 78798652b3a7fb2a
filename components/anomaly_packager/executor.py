"""Executor of AnomalyPackager."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.anomaly_packager.build import Identity, PackedNetwork, build
from components.anomaly_packager.component import AnomalyPackagerParameters
from components.artifacts import Gate, read_json, write_gates, write_json
from components.base import Inputs, Metrics, Outputs
from edge_agent.anomaly.network import Int8Network
from edge_agent.anomaly.scoring import Scorer, ScoringSettings
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import Budget
from edge_agent.decoding import decode
from edge_agent.features.series import VibrationFeatures


def execute(inputs: Inputs, outputs: Outputs, parameters: AnomalyPackagerParameters) -> Metrics:
    """Writes ``candidate.bundle``, reads it back, and decides the gates of size."""
    model = read_json(inputs["model"] / "model.json")
    evaluation = read_json(inputs["evaluation"] / "evaluation.json")
    with np.load(inputs["model"] / "parameters.npz", allow_pickle=False) as arrays:
        learned = {name: arrays[name] for name in arrays.files}
    network = _network(inputs["model"])
    predict = None if network is None else Int8Network(network.model)
    scorer = Scorer(decode(ScoringSettings, model["scoring"]), predict)
    scorer.load(learned)
    identity = Identity(
        name=parameters.name,
        licence=parameters.licence,
        lineage=read_json(inputs["model"] / "lineage.json")["cache_key"],
        card=card(parameters, model, evaluation),
        alarms_per_hour=parameters.alarms_per_hour,
    )
    budget = Budget(latency_ms=parameters.row_ms, memory_bytes=parameters.memory_bytes)
    normal = np.load(inputs["model"] / "normal.npy", allow_pickle=False)
    vibration = decode(VibrationFeatures, model["vibration"]) if model["vibration"] else None
    data = build(scorer, model["channels"], normal, identity, budget, network, vibration)
    path = outputs["bundle"] / "candidate.bundle"
    path.write_bytes(data)
    archive.read(path)
    sizes = {"parameter_bytes": model["bytes"], "state_bytes": evaluation["state_bytes"]}
    limits = {
        "parameter_bytes": parameters.max_parameter_bytes,
        "state_bytes": parameters.max_state_bytes,
    }
    if network is not None:
        # What TFLM did not run has no arena, and a gate of InfraValidator says so.
        sizes["arena_bytes"] = network.infra["arena_bytes"] or 0
        limits["arena_bytes"] = parameters.max_arena_bytes
    write_json(outputs["infra_validation"] / "infra_validation.json", sizes)
    write_gates(
        outputs["infra_validation"],
        [
            Gate(
                name=name,
                value=float(size),
                limit=float(limits[name]),
                passed=size <= limits[name],
                advice="lower AnomalyTrainer.lags or variance, or watch fewer channels",
            )
            for name, size in sizes.items()
        ]
        + [Gate(**gate) for gate in _gates_of_network(inputs["model"])],
    )
    return {"bytes": float(len(data))}


def _network(folder: Path) -> PackedNetwork | None:
    """The network in an AnomalyModel artifact, if there is one."""
    path = folder / "network.tflite"
    if not path.exists():
        return None
    return PackedNetwork(
        model=path.read_bytes(),
        conversion=read_json(folder / "conversion.json"),
        infra=read_json(folder / "infra_validation.json"),
    )


def _gates_of_network(folder: Path) -> list[dict[str, Any]]:
    path = folder / "network_gates.json"
    return list(read_json(path)) if path.exists() else []


def card(
    parameters: AnomalyPackagerParameters, model: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> str:
    """The model card."""
    figures = "\n".join(
        f"| {name} | {'not measured' if value is None else f'{value:.3f}'} |"
        for name, value in sorted(evaluation.items())
        if value is None or isinstance(value, float)
    )
    return (
        f"# {parameters.name}\n\n"
        f"Watches {len(model['channels'])} channels for rows unlike normal running: "
        f"{', '.join(model['channels'])}.\n\n"
        f"{_learning(model['scoring']['warm_up_rows'])} It is not made for anything on which safety "
        "depends.\n\n"
        f"Of {len(evaluation['compared'])} detectors it is {evaluation['detector']}: "
        f"{evaluation['why']}.\n\n"
        f"Measured on {len(model['files'])} files after what teaches; the gates of the recipe hold the "
        f"same figures. {_flattery(evaluation)}\n\n"
        f"| figure | value |\n| --- | --- |\n{figures}\n\nLicence: {parameters.licence}\n"
    )


def _learning(warm_up_rows: int) -> str:
    if not warm_up_rows:
        return "It was taught by healthy signals, and learns nothing on the machine."
    return f"It learns its machine in the first {warm_up_rows} rows, which must be normal."


def _flattery(evaluation: Mapping[str, Any]) -> str:
    """How far the figures can be believed: detector and threshold saw the files that they are of."""
    chosen, crosswise = "Detector and threshold were chosen on these files", evaluation["crosswise"]
    if crosswise is None:
        return f"{chosen}, which flatters them; there are too few to choose on some and measure others."
    false, missed = crosswise["false_alarm_rate"], crosswise["missed_rate"]
    figures = [f"the quality is {crosswise['quality']:.3f}"]
    if false is not None:
        figures.append(f"{100 * false:.1f}% of normal rows lie at the threshold or above it")
    # Without labels nobody can say what is missed.
    if missed is not None:
        figures.append(f"{100 * missed:.1f}% of anomalous rows lie below it")
    return (
        f"{chosen} (by {evaluation['compared_on']}), which flatters them: chosen on each half of the files "
        f"and measured on the other, {'; '.join(figures)}."
    )

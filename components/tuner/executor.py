"""Executor of a Candidate."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import write_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.converter.convert import to_int8
from components.evaluator.scoring import int8_scorer
from components.infra_validator.child_process import Failed
from components.infra_validator.measure import measure
from components.models import registry
from components.targets.flatbuffer import parse_graph
from components.targets.untrained import lint_untrained
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss
from components.tuner.component import CandidateParameters
from components.tuner.outcome import Costs, Outcome, beaten_by

_CALIBRATION = 200


def execute(inputs: Inputs, outputs: Outputs, parameters: CandidateParameters) -> Metrics:
    """Writes ``trial.json``: an `Outcome`."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    outcome = _outcome(features, parameters, outputs["trial"])
    write_json(outputs["trial"] / "trial.json", dataclasses.asdict(outcome))
    return {}


def _outcome(features: FeatureSet, p: CandidateParameters, output: Path) -> Outcome:
    try:
        model = registry.build(
            p.architecture,
            features.frames,
            features.channels,
            len(features.labels),
            p.widths,
            depth=features.depth,
        )
        if p.targets:
            lint_untrained(model, p.targets)
        # MACs and arena follow from the shapes; the file grows a little once no two biases are equal.
        costs = _costs(to_int8(model, _calibration(features, p.seed)))
    except UserError as e:
        return Outcome(state="unfit", reason=str(e))
    excess = _excess(costs, p)
    if excess:
        return Outcome(state="too_large", reason=excess, costs=costs)
    try:
        accuracies = _train(model, features, p, costs, output)
    except _Beaten as e:
        return Outcome(state="beaten", reason=str(e), accuracies=e.accuracies, costs=costs)
    int8 = to_int8(model, _calibration(features, p.seed))
    costs = dataclasses.replace(costs, bytes=len(int8))
    excess = _excess(costs, p)
    if excess:
        return Outcome(state="too_large", reason=excess, accuracies=accuracies, costs=costs)
    accuracy = _accuracy(int8, features)
    return Outcome(state="complete", accuracy=accuracy, accuracies=accuracies, costs=costs)


class _Beaten(Exception):
    def __init__(self, accuracies: tuple[float, ...], reason: str) -> None:
        super().__init__(reason)
        self.accuracies = accuracies


def _train(
    model: Any, features: FeatureSet, p: CandidateParameters, costs: Costs, output: Path
) -> tuple[float, ...]:
    def after_epoch(history: loop.History) -> None:
        accuracies = tuple(history["validation_accuracy"])
        if not p.grace < len(accuracies) < p.epochs:
            return
        rival = beaten_by(costs, accuracies, p.rivals, p.lag)
        if rival is not None:
            epochs = len(accuracies)
            raise _Beaten(
                accuracies,
                f"{accuracies[-1]:.3f} after {epochs} of {p.epochs} epochs, where one that takes no "
                f"more had {rival.accuracies[epochs - 1]:.3f}",
            )

    history = loop.fit(
        model,
        features,
        p.schedule(),
        p.augmentation(),
        hard_loss(p.label_smoothing),
        output,
        after_epoch=after_epoch,
    )
    return tuple(history["validation_accuracy"])


def _calibration(features: FeatureSet, seed: int) -> npt.NDArray[np.int8]:
    codes = features.split("train").codes
    rows = np.random.default_rng(seed).permutation(len(codes))[:_CALIBRATION]
    return features.centred(np.asarray(codes[np.sort(rows)]))


def _costs(model: bytes) -> Costs:
    graph = parse_graph(model)
    _, *window, depth = graph.tensors[graph.inputs[0]].shape
    codes = np.zeros((1, *window) if depth == 1 else (1, *window, depth), np.int8)
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(model)
        file.flush()
        measured = measure("tflm", Path(file.name), codes, 1)
    if isinstance(measured, Failed) or measured.arena_bytes is None:
        reason = measured.reason if isinstance(measured, Failed) else "it names no arena"
        raise UserError(f"TFLM does not run it: {reason}")
    return Costs(bytes=len(model), macs=graph.macs, arena_bytes=measured.arena_bytes)


def _excess(costs: Costs, p: CandidateParameters) -> str:
    limits = {"bytes": p.most_bytes, "macs": p.most_macs, "arena_bytes": p.most_arena_bytes}
    over = [
        f"{name} {getattr(costs, name):,}, limit {limit:,}"
        for name, limit in limits.items()
        if limit and getattr(costs, name) > limit
    ]
    return "; ".join(over)


def _accuracy(model: bytes, features: FeatureSet) -> float:
    split = features.split("val")
    said = int8_scorer(model)(features.centred(np.asarray(split.codes))).argmax(1)
    return float((said == split.label).mean())

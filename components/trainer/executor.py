"""Executor of the Trainer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tf_keras as keras

from components.artifacts import EARLY
from components.base import CHECKPOINT, Inputs, Metrics, Outputs
from components.models import registry
from components.models.macs import count_macs
from components.targets.untrained import lint_untrained
from components.trainer.component import TrainerParameters
from components.trainer.ensemble import join, label_weights
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss

# Between the seeds of two members; steps have seeds near each other.
_APART = 1000


def execute(inputs: Inputs, outputs: Outputs, parameters: TrainerParameters) -> Metrics:
    """Builds the architecture, checks its ops on the targets, trains it, and saves it."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    early = outputs["model"] / CHECKPOINT / EARLY
    early.parent.mkdir(exist_ok=True)
    networks: list[Any] = []
    metrics: Metrics = {}
    for member in range(parameters.members):
        seed = parameters.seed + member * _APART
        if member:
            keras.utils.set_random_seed(seed)
        network = _build(features, parameters)
        if parameters.targets and not member:
            lint_untrained(network, parameters.targets)
        history = loop.fit(
            network,
            features,
            dataclasses.replace(parameters.schedule(), seed=seed),
            parameters.augmentation(),
            _loss(member, features, parameters),
            outputs["model"],
            before_step=_keeper(network, parameters, early),
            part=f"member_{member + 1}" if parameters.members > 1 else "",
        )
        networks.append(network)
        metrics |= loop.metrics_of(history)
        if parameters.members > 1:
            metrics[f"member_{member + 1}_validation_accuracy"] = metrics["validation_accuracy"]
    model = join(networks)
    if parameters.members > 1:
        measured = loop.validate(model, features)
        metrics |= dict(zip(("validation_loss", "validation_accuracy"), measured, strict=True))
    description = {
        "architecture": parameters.architecture,
        "arguments": {"widths": list(parameters.widths)},
        "labels": list(features.labels),
        "members": parameters.members,
        "params": int(model.count_params()),
        "macs": count_macs(model),
    }
    loop.save(model, outputs["model"], description, history)
    if early.exists():  # not if training was shorter, and not of an ensemble
        early.rename(outputs["model"] / EARLY)
    return metrics


def _keeper(network: Any, parameters: TrainerParameters, early: Path) -> Callable[[int], None]:
    """What keeps the weights to rewind to, called before each step; an ensemble has none."""
    rewind_step = parameters.rewind_epoch * parameters.schedule().steps_per_epoch

    def keep(step: int) -> None:
        if step == rewind_step and parameters.members == 1:
            network.save_weights(early)

    return keep


def _build(features: FeatureSet, parameters: TrainerParameters) -> Any:
    return registry.build(
        parameters.architecture,
        features.frames,
        features.channels,
        len(features.labels),
        parameters.widths,
        depth=features.depth,
    )


def _loss(member: int, features: FeatureSet, parameters: TrainerParameters) -> Any:
    if parameters.focus == 1.0:
        return hard_loss(parameters.label_smoothing)
    weights = label_weights(member, parameters.members, len(features.labels), parameters.focus)
    return hard_loss(parameters.label_smoothing, weights)

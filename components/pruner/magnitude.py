"""Magnitude pruning while training goes on: Zhu and Gupta (2017), "To prune, or not to prune" (tfmot)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from components.pruner.component import PrunerParameters
from components.pruner.pruned import Pruned
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss

_KINDS = ("Conv2D", "Dense")


def prune(model: Any, features: FeatureSet, parameters: PrunerParameters, output: Path) -> Pruned:
    """Wraps the larger kernels, trains on while the masks grow, and strips the wrappers."""
    wrapped = keras.models.clone_model(model, clone_function=lambda x: _wrap(x, parameters))
    prunable = [layer for layer in wrapped.layers if hasattr(layer, "pruning_step")]

    def before_step(step: int) -> None:
        for layer in prunable:
            layer.pruning_step.assign(step)

    settled_from = math.ceil(parameters.epochs * parameters.ramp) - 1
    history = loop.fit(
        wrapped,
        features,
        parameters.schedule(),
        parameters.augmentation(),
        hard_loss(parameters.label_smoothing),
        output,
        before_step=before_step,
        settled_from=settled_from,
    )
    for layer in prunable:
        for weight, mask, _ in layer.pruning_vars:
            weight.assign(weight * mask)
    stripped = tfmot.sparsity.keras.strip_pruning(wrapped)
    return Pruned(model=stripped, history=history, settled_from=settled_from)


def _wrap(layer: Any, parameters: PrunerParameters) -> Any:
    """`layer` itself, in a pruning wrapper if it is of a kind and size that is pruned."""
    if (
        type(layer).__name__ not in _KINDS
        or layer.kernel.shape.num_elements() < parameters.least_weights
    ):
        return layer
    steps = parameters.epochs * parameters.schedule().steps_per_epoch
    return tfmot.sparsity.keras.prune_low_magnitude(
        layer,
        pruning_schedule=tfmot.sparsity.keras.PolynomialDecay(
            initial_sparsity=min(parameters.initial_sparsity, parameters.final_sparsity),
            final_sparsity=parameters.final_sparsity,
            begin_step=0,
            end_step=max(1, int(steps * parameters.ramp)),
            power=3,
            frequency=parameters.frequency,
        ),
    )

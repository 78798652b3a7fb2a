"""Pruning at once, by masks, and retraining under them: in rounds, or in patterns.

Rounds with rewinding are those of Frankle and Carbin (2019), "The lottery ticket hypothesis", to weights of
early in training as in Frankle et al. (2020), "Linear mode connectivity and the lottery ticket hypothesis".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras

from components.base import UserError
from components.pruner import masks
from components.pruner.component import PrunerParameters
from components.pruner.pruned import Pruned, round_folder
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss
from components.training.sparsity import kernels, zero_masks

Masks = Mapping[str, masks.Mask]
Weights = list[np.ndarray[Any, Any]]

_ANOTHER_SEED = 1_000_003


def prune_iteratively(
    model: Any,
    features: FeatureSet,
    parameters: PrunerParameters,
    output: Path,
    early: Path,
) -> Pruned:
    """Zeroes the smallest of the weights that are left, rewinds, retrains; round by round.

    Each round takes the same share of what is left.

    Args:
        model: trained; changed in place.
        features: to retrain on.
        parameters: of the step.
        output: artifact folder.
        early: weights of early in training, to rewind to.
    """
    start = None if parameters.rewind == "none" else _early(model, early)
    history: loop.History = {}
    for number in range(parameters.rounds):
        left = (1.0 - parameters.final_sparsity) ** ((number + 1) / parameters.rounds)
        smallest = functools.partial(masks.smallest, sparsity=1.0 - left)
        chosen = _chosen(model, parameters, smallest)
        if parameters.rewind == "random" and number == parameters.rounds - 1:
            start = _new(model, parameters.seed)
        if start is not None:
            model.set_weights(start)
        folder = round_folder(output, number, parameters.rounds)
        history = _retrain(model, chosen, features, parameters, folder)
    return Pruned(model=model, history=history)


def prune_in_pattern(
    model: Any, features: FeatureSet, parameters: PrunerParameters, output: Path
) -> Pruned:
    """Zeroes in the pattern that `parameters` ask for, and retrains; `model` is changed in place."""

    def pattern(kernel: masks.Kernel) -> masks.Mask:
        if parameters.method == "m_by_n":
            m, n = parameters.m_by_n
            return masks.m_by_n(kernel, m, n)
        m, n = parameters.block
        return masks.block(kernel, m, n, parameters.final_sparsity)

    chosen = _chosen(model, parameters, pattern)
    return Pruned(model=model, history=_retrain(model, chosen, features, parameters, output))


def _chosen(
    model: Any, parameters: PrunerParameters, mask: Callable[[masks.Kernel], masks.Mask]
) -> dict[str, masks.Mask]:
    """By variable name, the masks of the larger kernels of the convolutions and dense layers."""
    large = {
        layer.kernel.name
        for layer in model.layers
        if type(layer).__name__ in ("Conv2D", "Dense")
        and layer.kernel.shape.num_elements() >= parameters.least_weights
    }
    if not large:
        raise UserError(
            "no kernel has Pruner.least_weights weights "
            f"({parameters.least_weights}): lower it, or make the model wider"
        )
    return {
        variable.name: mask(variable.numpy())
        for variable in kernels(model)
        if variable.name in large
    }


def _retrain(
    model: Any, chosen: Masks, features: FeatureSet, parameters: PrunerParameters, folder: Path
) -> loop.History:
    for variable in kernels(model):
        if variable.name in chosen:
            variable.assign(variable * chosen[variable.name])
    return loop.fit(
        model,
        features,
        parameters.schedule(),
        parameters.augmentation(),
        hard_loss(parameters.label_smoothing),
        folder,
        keep={**zero_masks(model), **chosen},
    )


def _early(model: Any, early: Path) -> Weights:
    """The weights of early in training, from the file `early`."""
    if not early.is_file():
        raise UserError(
            f"{early}: not there: Pruner.rewind takes a model straight from the Trainer, which keeps it"
        )
    young = keras.models.clone_model(model)
    young.load_weights(early)
    weights: Weights = young.get_weights()
    return weights


def _new(model: Any, seed: int) -> Weights:
    """Weights that no training has seen, and that `seed` alone does not give the Trainer."""
    keras.utils.set_random_seed(seed + _ANOTHER_SEED)
    weights: Weights = keras.models.clone_model(model).get_weights()
    return weights

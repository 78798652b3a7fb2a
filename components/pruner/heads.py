"""Attention heads that matter least are removed: Michel, Levy and Neubig (2019)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.base import UserError
from components.pruner.component import PrunerParameters
from components.pruner.importance import of_heads
from components.pruner.pruned import Pruned, round_folder
from components.pruner.surgery import without_heads
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss
from components.training.sparsity import zero_masks


def prune(model: Any, features: FeatureSet, parameters: PrunerParameters, output: Path) -> Pruned:
    """Removes heads of each attention layer, round by round, and retrains after each."""
    before = [_heads(layer) for layer in attention(model)]
    history: loop.History = {}
    for number in range(parameters.rounds):
        layers = attention(model)
        share = parameters.heads_share ** ((number + 1) / parameters.rounds)
        worth = of_heads(model, layers, features, parameters)
        kept = {
            layer.name: strongest(heads, max(1, round(whole * share)))
            for layer, heads, whole in zip(layers, worth, before, strict=True)
        }
        model = without_heads(model, kept)
        history = loop.fit(
            model,
            features,
            parameters.schedule(),
            parameters.augmentation(),
            hard_loss(parameters.label_smoothing),
            round_folder(output, number, parameters.rounds),
            keep=zero_masks(model),
        )
    return Pruned(model=model, history=history)


def attention(model: Any) -> list[Any]:
    """The attention layers of `model`.

    Raises:
        UserError: if it has none.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ == "MultiHeadAttention"]
    if not layers:
        raise UserError(
            "the model has no attention heads to prune: set Pruner.method to another method, or "
            "Trainer.architecture to keyword_transformer"
        )
    return layers


def strongest(worth: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """The numbers of the `count` largest values of `worth`, in ascending order."""
    return np.sort(np.argsort(-worth, kind="stable")[:count])


def _heads(layer: Any) -> int:
    return int(layer.get_config()["num_heads"])

"""Filter pruning: channels that matter least for what they cost are removed, round by round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.pruner.channels import couple
from components.pruner.choice import choose
from components.pruner.component import PrunerParameters
from components.pruner.importance import of_channels
from components.pruner.pruned import Pruned, round_folder
from components.pruner.surgery import without_channels
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss
from components.training.sparsity import zero_masks


def prune(model: Any, features: FeatureSet, parameters: PrunerParameters, output: Path) -> Pruned:
    """Removes channels until `macs_share` is left, in equal ratios, and retrains after each round."""
    coupling = couple(model)
    whole = coupling.macs(np.ones(coupling.classes, bool))
    history: loop.History = {}
    for number in range(parameters.rounds):
        coupling = couple(model)
        importance = of_channels(model, coupling, features, parameters)
        left = whole * parameters.macs_share ** ((number + 1) / parameters.rounds)
        kept = choose(coupling, importance, int(left), parameters.least_channels)
        model = without_channels(model, coupling, kept)
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

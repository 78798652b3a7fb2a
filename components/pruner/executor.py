"""Executor of the Pruner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tf_keras as keras

from components.artifacts import EARLY, read_json
from components.base import Inputs, Metrics, Outputs
from components.models.macs import count_macs
from components.pruner import filters, heads, magnitude, masked
from components.pruner.component import PrunerParameters
from components.pruner.pruned import Pruned
from components.training import loop
from components.training.data import FeatureSet
from components.training.sparsity import sparsity


def execute(inputs: Inputs, outputs: Outputs, parameters: PrunerParameters) -> Metrics:
    """Prunes by `PrunerParameters.method`, retrains, and saves."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    model = keras.models.load_model(inputs["model"] / "model.h5", compile=False)
    before = count_macs(model)
    pruned = _pruned(model, features, parameters, inputs["model"] / EARLY, outputs["model"])
    share, macs = sparsity(pruned.model), count_macs(pruned.model)
    description = {
        **read_json(inputs["model"] / "model.json"),
        "pruning": parameters.method,
        "sparsity": round(share, 4),
        "params": int(pruned.model.count_params()),
        "macs": macs,
    }
    loop.save(pruned.model, outputs["model"], description, pruned.history)
    return {
        **loop.metrics_of(pruned.history, pruned.settled_from),
        "sparsity": share,
        "macs": float(macs),
        "macs_share": macs / before,
    }


def _pruned(
    model: Any, features: FeatureSet, parameters: PrunerParameters, early: Path, output: Path
) -> Pruned:
    match parameters.method:
        case "magnitude":
            return magnitude.prune(model, features, parameters, output)
        case "iterative":
            return masked.prune_iteratively(model, features, parameters, output, early)
        case "m_by_n" | "block":
            return masked.prune_in_pattern(model, features, parameters, output)
        case "filter":
            return filters.prune(model, features, parameters, output)
        case "heads":
            return heads.prune(model, features, parameters, output)

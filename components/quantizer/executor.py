"""Executor of the Quantizer."""

from __future__ import annotations

import shutil
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs, UserError, warn
from components.quantizer import coded
from components.quantizer.component import CODINGS, QuantizerParameters
from components.training import loop
from components.training.agreement import agreement
from components.training.data import FeatureSet
from components.training.losses import distillation_loss
from edge_agent.features.audio import INPUT_SCALE


def execute(inputs: Inputs, outputs: Outputs, parameters: QuantizerParameters) -> Metrics:
    """Puts int8 rounding into the graph and trains on, with the float model as the teacher.

    Or hands the float model on; see `QuantizerParameters.method`.
    """
    loop.prepare(parameters.schedule())
    model = keras.models.load_model(inputs["model"] / "model.h5", compile=False)
    if not _trains(model, parameters.method):
        for name in ("model.h5", "model.json"):
            shutil.copyfile(inputs["model"] / name, outputs["model"] / name)
        return {}
    features = FeatureSet.open(inputs["features"])
    teacher = keras.models.load_model(inputs["teacher"] / "model.h5", compile=False)
    coding = next((c for c in CODINGS if c == parameters.method), None)
    codes = {} if coding is None else coded.codes_for(model, coding, parameters)
    aware = coded.coded(model, codes) if coding else _prune_preserving(model)
    _fix_input_range(aware)
    history = loop.fit(
        aware,
        features,
        parameters.schedule(),
        parameters.augmentation(),
        distillation_loss(
            teacher, parameters.temperature, parameters.hard_weight, parameters.label_smoothing
        ),
        outputs["model"],
    )
    description = read_json(inputs["model"] / "model.json")
    if coding:
        aware = coded.settled(model, aware, codes)
        description["weights"] = coding
    loop.save(aware, outputs["model"], description, history)
    return loop.metrics_of(history) | {"agreement": agreement(aware, teacher, features)}


def _prune_preserving(model: Any) -> Any:
    """`model` with int8 rounding in the graph, whose zeros stay zero."""
    return tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(model),
        tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme(),
    )


def _trains(model: Any, method: str) -> bool:
    """Whether to train with rounding, by the wish of the user and by what the layers allow."""
    if method == "post_training":
        return False
    # Not in the public interface. The scheme's own registry answers yes for any layer without weights.
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_registry,
    )

    registry = default_8bit_quantize_registry.Default8BitQuantizeRegistry()
    # Batch normalisation goes into the convolution before it.
    kinds = {
        type(layer).__name__
        for layer in model.layers
        if not isinstance(layer, (keras.layers.InputLayer, keras.layers.BatchNormalization))
        and not registry.supports(layer)
    }
    if not kinds:
        return True
    missing = f"quantisation-aware training has no form of {', '.join(sorted(kinds))}"
    if method != "auto":
        raise UserError(f"{missing}: set Quantizer.method to post_training, or to auto")
    warn(f"{missing}: the float model goes on, and the Converter calibrates it")
    return False


def _fix_input_range(model: Any) -> None:
    """Gives the input exactly the scale and zero point of the feature codes."""
    for weight in model.weights:
        if weight.name.endswith("quantize_layer_min:0"):
            weight.assign(-128 * INPUT_SCALE)
        elif weight.name.endswith("quantize_layer_max:0"):
            weight.assign(127 * INPUT_SCALE)

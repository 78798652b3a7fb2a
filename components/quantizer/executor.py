"""Executor of the Quantizer."""

from __future__ import annotations

from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs
from components.quantizer.component import QuantizerParameters
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import distillation_loss
from edge_agent.features.audio import INPUT_SCALE


def execute(inputs: Inputs, outputs: Outputs, parameters: QuantizerParameters) -> Metrics:
    """Puts int8 rounding into the graph and trains on, with the float model as the teacher."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    teacher = keras.models.load_model(inputs["teacher"] / "model.h5", compile=False)
    model = keras.models.load_model(inputs["model"] / "model.h5", compile=False)
    aware = tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(model),
        tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme(),
    )
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
    loop.save(aware, outputs["model"], read_json(inputs["model"] / "model.json"), history)
    return loop.metrics_of(history)


def _fix_input_range(model: Any) -> None:
    """Gives the input exactly the scale and zero point of the feature codes."""
    for weight in model.weights:
        if weight.name.endswith("quantize_layer_min:0"):
            weight.assign(-128 * INPUT_SCALE)
        elif weight.name.endswith("quantize_layer_max:0"):
            weight.assign(127 * INPUT_SCALE)

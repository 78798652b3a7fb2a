"""From a tf_keras model to a full-integer .tflite. TensorFlow is imported when it is called."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.base import UserError
from components.converter.component import Activations
from components.converter.strip import strip
from components.converter.wide_activations import with_int8_ends
from edge_agent.features.audio import INPUT_SCALE, INPUT_ZERO_POINT

if TYPE_CHECKING:
    import tf_keras

Codes = npt.NDArray[np.int8]

_LOWEST, _HIGHEST = -128, 127


def load_model(path: Path) -> tf_keras.Model:
    """The tf_keras model in an ``.h5`` file, quantisation-aware or plain.

    Raises:
        UserError: naming the file, if it is not such a model.
    """
    import tensorflow_model_optimization as tfmot
    import tf_keras

    try:
        with tfmot.quantization.keras.quantize_scope():
            return tf_keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
        raise UserError(f"{path}: is not a model of this pipeline ({e}): train again") from e


def to_int8(model: tf_keras.Model, calibration: Codes) -> bytes:
    """`converted`, without the bytes that serve no runtime."""
    return strip(converted(model, calibration))


def converted(
    model: tf_keras.Model, calibration: Codes, activations: Activations = "int8"
) -> bytes:
    """Converts to int8 input and output, batch 1, dense layers per tensor; deterministic bytes.

    The input takes feature codes as they are: scale 1/32, zero point 0. A quantisation-aware model
    brings the ranges of its layers; those of a plain one are taken from `calibration`.

    Args:
        model: one input of shape (batch, frames, channels, depth), the batch free or 1.
        calibration: int8 codes, shape (rows, frames, channels), or (rows, frames, channels, depth).
        activations: ``int8``, or ``int16`` between the int8 ends.

    Raises:
        UserError: if the model has another input, does not convert, or is quantisation-aware and to
            have int16 activations, which it was not trained for.
    """
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    shape = _window_shape(model, calibration)
    if activations == "int16" and _is_aware(model):
        raise UserError(
            "Converter.activations=int16: the model was trained with int8 rounding: set "
            "Quantizer.method=post_training"
        )
    _pin_input_range(model)
    run = tf.function(lambda codes: model(codes, training=False))
    traced = run.get_concrete_function(tf.TensorSpec((1, *shape), tf.float32, name="codes"))
    # The converter saves what it is given as a SavedModel: of a Keras model every layer would be traced
    # anew, which takes most of the time, and nothing but the variables is needed.
    held = tf.Module()
    held.held_variables = traced.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], held)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    windows = _with_whole_range(calibration).astype(np.float32) * np.float32(INPUT_SCALE)
    converter.representative_dataset = lambda: ([row.reshape(1, *shape)] for row in windows)
    wide = activations == "int16"
    kernels = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    if wide:
        kernels = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [kernels]
    converter.inference_input_type = tf.int16 if wide else tf.int8
    converter.inference_output_type = converter.inference_input_type
    # Old runtimes and the Edge TPU know FULLY_CONNECTED per tensor only (version 4).
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    try:
        made = bytes(converter.convert())
        return with_int8_ends(made) if wide else made
    except (ValueError, RuntimeError, tf.errors.OpError) as e:
        reason = str(e).strip().splitlines()
        raise UserError(
            f"the model does not convert to int8: {reason[0] if reason else type(e).__name__}: "
            "replace the layer that the step's log names"
        ) from e


def _window_shape(model: Any, calibration: Codes) -> tuple[int, ...]:
    shape = tuple(model.input_shape[1:]) if isinstance(model.input_shape, tuple) else ()
    if shape != (*calibration.shape[1:], 1) and shape != calibration.shape[1:]:
        raise UserError(
            f"the model takes {model.input_shape}, and the features are windows of "
            f"{calibration.shape[1:]}: train it on these features"
        )
    return shape


def _is_aware(model: Any) -> bool:
    """Whether int8 rounding is in the graph of `model`."""
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)


def _pin_input_range(model: Any) -> None:
    """Sets a quantisation-aware model's input range to that of the codes, whatever it averaged."""
    # Not in the public interface, but what quantize_apply puts behind every input.
    from tensorflow_model_optimization.python.core.quantization.keras import quantize_layer

    for layer in model.layers:
        if isinstance(layer, quantize_layer.QuantizeLayer):
            for weight in layer.weights:
                if weight.name.endswith("_min:0"):
                    weight.assign((_LOWEST - INPUT_ZERO_POINT) * INPUT_SCALE)
                elif weight.name.endswith("_max:0"):
                    weight.assign((_HIGHEST - INPUT_ZERO_POINT) * INPUT_SCALE)


def _with_whole_range(calibration: Codes) -> Codes:
    """`calibration` with the lowest and highest code in it, at one row's own extremes."""
    rows = calibration.copy()
    first = rows[0].reshape(-1)
    first[first.argmin()] = _LOWEST
    first[first.argmax()] = _HIGHEST
    rows[0] = first.reshape(rows[0].shape)
    return rows

"""Converts a model with several inputs to int8; TensorFlow is imported when it is called."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.base import UserError
from components.converter.strip import strip

Float32 = npt.NDArray[np.float32]


def several_to_int8(model: Any, calibration: Mapping[str, Float32]) -> bytes:
    """Converts to int8 inputs and outputs, batch 1, dense layers per tensor; deterministic bytes.

    Args:
        model: a tf_keras model with named inputs of free batch.
        calibration: by the input's name, examples that set its range and those behind it, shape
            (rows, ...), as many of each.

    Raises:
        UserError: if the examples do not fit the inputs, or the model does not convert.
    """
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    names = list(model.input_names)
    shapes = {t.name: tuple(t.shape[1:]) for t in model.inputs}
    given = {name: array.shape[1:] for name, array in calibration.items()}
    if given != shapes or len({len(array) for array in calibration.values()}) != 1:
        raise UserError(
            f"the model takes {shapes}, and the examples are {given}: give as many of each input"
        )

    def run(*inputs: Any) -> Any:
        return model(list(inputs), training=False)

    specifications = [tf.TensorSpec((1, *shapes[name]), tf.float32, name=name) for name in names]
    traced = tf.function(run).get_concrete_function(*specifications)
    held = tf.Module()
    held.held_variables = traced.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], held)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rows = len(calibration[names[0]])
    # By name: as a list they would have to come in the order of the saved model's, which is another.
    converter.representative_dataset = lambda: (
        {name: calibration[name][row : row + 1].astype(np.float32) for name in names}
        for row in range(rows)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    try:
        return strip(bytes(converter.convert()))
    except (ValueError, RuntimeError, tf.errors.OpError) as e:
        reason = str(e).strip().splitlines()
        raise UserError(
            f"the model does not convert to int8: {reason[0] if reason else type(e).__name__}"
        ) from e

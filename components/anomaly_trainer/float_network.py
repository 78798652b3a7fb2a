"""The float network that an int8 one was converted from, to hold them against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.converter.convert import load_model

Float64 = npt.NDArray[np.float64]


class FloatNetwork:
    """`edge_agent.anomaly.network.Predict` by TensorFlow, without any rounding or clipping."""

    def __init__(self, path: Path) -> None:
        """Loads the tf_keras model."""
        import tensorflow as tf

        model = load_model(path)
        self._run = tf.function(lambda seen: model(seen, training=False), reduce_retracing=True)

    def __call__(self, seen: Float64) -> Float64:
        """Runs it over windows, shape (rows, window, channels)."""
        return np.asarray(self._run(seen[..., None].astype(np.float32)), np.float64)

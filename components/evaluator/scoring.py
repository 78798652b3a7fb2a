"""Probabilities of rows of feature codes, by the int8 model as the device runs it and by float ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.training.data import FeatureSet, as_inputs
from edge_agent.runtime import open_model

Probabilities = npt.NDArray[np.float32]
Score = Callable[[npt.NDArray[np.int8]], Probabilities]
_BATCH = 512


def int8_scorer(model: bytes) -> Score:
    """Scores windows of codes (n, frames, channels), or pictures, on LiteRT, which a device prefers.

    tflite-runtime cannot be loaded beside TensorFlow, which scores the float models here; the
    InfraValidator runs it in a process of its own.
    """
    opened = open_model(model, runtime="litert")
    scale, zero_point = opened.output.scale, opened.output.zero_point

    def score(windows: npt.NDArray[np.int8]) -> Probabilities:
        out = np.stack([opened.invoke(np.ascontiguousarray(w)) for w in windows])
        return (out.astype(np.float32) - zero_point) * np.float32(scale)

    return score


def float_scorer(model_folder: Path) -> Score:
    """Scores windows of codes on a float model."""
    import tensorflow as tf
    import tf_keras as keras

    model = keras.models.load_model(model_folder / "model.h5", compile=False)
    infer = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def score(windows: npt.NDArray[np.int8]) -> Probabilities:
        parts = []
        for start in range(0, len(windows), _BATCH):
            parts.append(infer(tf.constant(as_inputs(windows[start : start + _BATCH]))).numpy())
        return np.concatenate(parts)

    return score


def clip_probabilities(
    score: Score, features: FeatureSet, codes: npt.NDArray[np.int8], offsets: Sequence[int]
) -> Probabilities:
    """Mean probabilities of each row over windows `offsets` frames from the middle."""
    total = sum(score(features.centred(codes, offset)) for offset in offsets)
    return np.asarray(total, np.float32) / np.float32(len(offsets))

"""How often two models decide alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from components.training.data import FeatureSet, as_inputs
from components.training.loop import probabilities_of

_BATCH = 512


def agreement(
    student: Callable[..., Any], teacher: Callable[..., Any], features: FeatureSet
) -> float:
    """Share of the validation clips, as recorded, on which both decide for the same label.

    Either is called with (inputs, training=False), and gives what `loop.fit` lets a model give.
    """
    split = features.split("val")
    inputs = as_inputs(features.centred(np.asarray(split.codes[split.view == 0])))
    equal = [
        _decisions(student, inputs[i : i + _BATCH]) == _decisions(teacher, inputs[i : i + _BATCH])
        for i in range(0, len(inputs), _BATCH)
    ]
    return float(np.concatenate(equal).mean())


def _decisions(model: Callable[..., Any], inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    given = probabilities_of(model(tf.constant(inputs), training=False))
    return np.asarray(given).argmax(1)

"""Zeros among the weights: counting them, and keeping them zero while training goes on."""

from __future__ import annotations

from typing import Any

import numpy as np


def kernels(model: Any) -> list[Any]:
    """The kernels of a tf_keras model: trainable variables of two dimensions or more."""
    return [v for v in model.trainable_variables if len(v.shape) > 1]


def sparsity(model: Any) -> float:
    """Share of zeros in the kernels of `model`, 0 to 1."""
    arrays = [v.numpy() for v in kernels(model)]
    return float(sum((a == 0).sum() for a in arrays) / sum(a.size for a in arrays))


def zero_masks(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """By variable name, 0 where the kernel is zero now and 1 elsewhere."""
    return {v.name: (v.numpy() != 0).astype(np.float32) for v in kernels(model)}

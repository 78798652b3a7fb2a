"""Multiply-accumulates of one inference, from a model's layers."""

from __future__ import annotations

import math
from typing import Any


def count_macs(model: Any) -> int:
    """Multiply-accumulates of the convolutions and dense layers of a tf_keras model, batch of one."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            per_output = math.prod(layer.kernel.shape[:3])
            total += math.prod(layer.output.shape[1:]) * per_output
        elif kind == "DepthwiseConv2D":
            total += math.prod(layer.output.shape[1:]) * math.prod(layer.depthwise_kernel.shape[:2])
        elif kind == "Dense":
            total += math.prod(layer.kernel.shape)
    return total

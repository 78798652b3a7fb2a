"""Multiply-accumulates of one inference, from a model's layers."""

from __future__ import annotations

import math
from typing import Any


def count_macs(model: Any) -> int:
    """Multiply-accumulates of the convolutions, dense and attention layers of a tf_keras model, one run."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv2D":
            per_output = math.prod(layer.kernel.shape[:3])
            total += math.prod(layer.output.shape[1:]) * per_output
        elif kind == "DepthwiseConv2D":
            total += math.prod(layer.output.shape[1:]) * math.prod(layer.depthwise_kernel.shape[:2])
        elif kind == "Dense":
            total += math.prod(layer.output.shape[1:]) * layer.kernel.shape[0]
        elif kind == "MultiHeadAttention":
            total += _attention(layer)
    return total


def _attention(layer: Any) -> int:
    """Projections to and from the heads, scores, and their application."""
    configuration = layer.get_config()
    inner = configuration["num_heads"] * configuration["key_dim"]
    _, steps, width = layer.output.shape
    return int(4 * steps * width * inner + 2 * steps * steps * inner)

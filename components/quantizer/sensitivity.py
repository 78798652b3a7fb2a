"""Which layers cost the accuracy when they are rounded: each by itself, the others left as they are.

    python -m components.quantizer.sensitivity MODEL.h5 FEATURES BITS[,BITS...]

Prints JSON: {"clips", "accuracy", "layers": [{"layer", "kind", "what", "bits", "weights", "accuracy", "drop",
"divergence"}]}, the layer that changes the outputs most first. `what` is ``weights``, rounded as the int8
file has them (symmetric; each output channel by itself in convolutions), or ``outputs``, rounded over the
range that validation shows, as activations are (always 8 bits). `divergence` is the mean over clips of the
Kullback-Leibler divergence of the rounded network's probabilities from the plain one's, in nats: it tells
layers apart where too few decisions change to do so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.training.data import FeatureSet, as_inputs

Array = npt.NDArray[np.float32]

# Validation windows at most, spread over the whole split.
_MOST_WINDOWS = 2048
_BATCH = 512
_LEAST_PROBABILITY = 1e-7
_ACTIVATION_BITS = 8
_WITH_KERNEL = {"Conv2D": "kernel", "DepthwiseConv2D": "depthwise_kernel", "Dense": "kernel"}
# What a .tflite file keeps between operators; the rest is fused into these, or moves values alone.
_ROUNDED_OUTPUTS = ("Activation", "Add", "Concatenate", "Dense", "Multiply", "ReLU")


def main(arguments: Sequence[str]) -> int:
    """Sweeps the model that `arguments` name."""
    import tf_keras as keras

    path, folder, bits = arguments
    model = keras.models.load_model(path, compile=False)
    codes, truth = _validation(FeatureSet.open(Path(folder)))
    print(json.dumps(sweep(model, codes, truth, [int(b) for b in bits.split(",")])))
    return 0


def sweep(
    model: Any, codes: npt.NDArray[np.int8], truth: npt.NDArray[np.int32], bits: Sequence[int]
) -> dict[str, Any]:
    """What the module prints, of a plain tf_keras model.

    Args:
        model: gives probabilities; its weights are changed and put back.
        codes: int8, shape (windows, frames, channels), or (windows, height, width, 3).
        truth: index of each window's label.
        bits: to round weights to, each 2 or more.
    """
    inputs = as_inputs(codes)
    plain = _probabilities(model, inputs)
    accuracy = float((plain.argmax(1) == truth).mean())
    found = []
    for layer, what, width, said in _variants(model, inputs, bits):
        right = float((said.argmax(1) == truth).mean())
        found.append(
            {
                "layer": layer.name,
                "kind": type(layer).__name__,
                "what": what,
                "bits": width,
                "weights": _size(layer) if what == "weights" else 0,
                "accuracy": right,
                "drop": accuracy - right,
                "divergence": _divergence(plain, said),
            }
        )
    found.sort(key=lambda row: -row["divergence"])
    return {"clips": len(truth), "accuracy": accuracy, "layers": found}


def rounded_kernel(kernel: Array, bits: int) -> Array:
    """`kernel` on a symmetric grid of 2^bits - 1 steps, as wide as each output channel's largest weight.

    A dense kernel, of two dimensions, has one width for all.
    """
    axes = tuple(range(kernel.ndim - 1)) if kernel.ndim == 4 else None
    highest = 2 ** (bits - 1) - 1
    step = np.abs(kernel).max(axes, keepdims=True) / highest
    step = np.where(step == 0, 1, step)
    return (np.rint(kernel / step) * step).astype(np.float32)


def _variants(
    model: Any, inputs: Array, bits: Sequence[int]
) -> Iterator[tuple[Any, str, int, Array]]:
    """(layer, what of it is rounded, to how many bits, the network's probabilities then)."""
    for layer in model.layers:
        kind = type(layer).__name__
        for width in bits if kind in _WITH_KERNEL else ():
            yield layer, "weights", width, _with_kernel(model, layer, width, inputs)
        if kind in _ROUNDED_OUTPUTS:
            yield layer, "outputs", _ACTIVATION_BITS, _with_outputs(model, layer, inputs)


def _with_kernel(model: Any, layer: Any, bits: int, inputs: Array) -> Array:
    kernel = getattr(layer, _WITH_KERNEL[type(layer).__name__])
    own = kernel.numpy()
    if type(layer).__name__ == "DepthwiseConv2D":
        # Its output channels are the third axis, its fourth is 1.
        kernel.assign(np.moveaxis(rounded_kernel(np.moveaxis(own, 2, 3), bits), 3, 2))
    else:
        kernel.assign(rounded_kernel(own, bits))
    try:
        return _probabilities(model, inputs)
    finally:
        kernel.assign(own)


def _with_outputs(model: Any, layer: Any, inputs: Array) -> Array:
    """The probabilities with the outputs of `layer` on a grid of 8 bits over the range that they take."""
    import tensorflow as tf

    low, high = 0.0, 0.0
    own = layer.call

    def watched(*arguments: Any, **rest: Any) -> Any:
        nonlocal low, high
        outputs = own(*arguments, **rest)
        low = min(low, float(tf.reduce_min(outputs)))
        high = max(high, float(tf.reduce_max(outputs)))
        return outputs

    def rounded(*arguments: Any, **rest: Any) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(
            own(*arguments, **rest), low, max(high, low + 1e-6), _ACTIVATION_BITS
        )

    try:
        layer.call = watched
        _probabilities(model, inputs)
        layer.call = rounded
        return _probabilities(model, inputs)
    finally:
        layer.call = own


def _probabilities(model: Any, inputs: Array) -> Array:
    parts = [
        model(inputs[start : start + _BATCH], training=False).numpy()
        for start in range(0, len(inputs), _BATCH)
    ]
    return np.concatenate(parts)


def _divergence(plain: Array, other: Array) -> float:
    ratio = np.log(plain + _LEAST_PROBABILITY) - np.log(other + _LEAST_PROBABILITY)
    return float((plain * ratio).sum(1).mean())


def _size(layer: Any) -> int:
    return int(getattr(layer, _WITH_KERNEL[type(layer).__name__]).shape.num_elements())


def _validation(features: FeatureSet) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    split = features.split("val")
    chosen = np.unique(np.linspace(0, len(split.label) - 1, _MOST_WINDOWS).round().astype(int))
    return features.centred(np.asarray(split.codes[chosen])), split.label[chosen]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

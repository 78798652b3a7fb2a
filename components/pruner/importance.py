"""What a channel or a head is worth: how the loss changes, to first order, if it is silenced.

A gate of 1 on a channel multiplies the weights that make it; the derivative of the loss by the gate is
the sum of weight times derivative. Molchanov et al. (2019), "Importance estimation for neural network
pruning", square it batch by batch and put the gate on batch normalisation; Michel, Levy and Neubig (2019),
"Are sixteen heads really better than one?", take its size and put it on attention heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.pruner.channels import Coupling
from components.training.data import FeatureSet
from components.training.losses import hard_loss
from components.training.parameters import TrainingParameters
from components.training.sampler import Sampler

# Enough that the order of channels no longer changes much; a second or two for a small network.
_BATCHES = 64


def of_channels(
    model: Any, coupling: Coupling, features: FeatureSet, parameters: TrainingParameters
) -> npt.NDArray[np.float64]:
    """The importance of each class of coupled channels, summed over all that make one of its channels."""
    gated = [
        (variables, part.makes)
        for layer, part in zip(model.layers, coupling.layers, strict=True)
        if (variables := _makers(layer))
    ]
    gates = [_Gate(variables, (-1, len(makes)), axis=0) for variables, makes in gated]
    total = np.zeros(coupling.classes)
    for slopes in _slopes(model, gates, features, parameters):
        for slope, (_, makes) in zip(slopes, gated, strict=True):
            np.add.at(total, makes, slope.astype(np.float64) ** 2)
    return total / _BATCHES


def of_heads(
    model: Any, layers: Sequence[Any], features: FeatureSet, parameters: TrainingParameters
) -> list[npt.NDArray[np.float64]]:
    """The importance of each head of the attention layers `layers`."""
    kernels = [output_kernel(layer) for layer in layers]
    gates = [_Gate([kernel], (kernel.shape[0], -1), axis=1) for kernel in kernels]
    total = [np.zeros(kernel.shape[0]) for kernel in kernels]
    for slopes in _slopes(model, gates, features, parameters):
        for heads, slope in zip(total, slopes, strict=True):
            heads += np.abs(slope)
    return [heads / _BATCHES for heads in total]


def output_kernel(layer: Any) -> Any:
    """The kernel of MultiHeadAttention's last projection, shape (heads, size, width)."""
    return next(v for v in layer.weights if "/attention_output/kernel" in v.name)


class _Gate(NamedTuple):
    """Weights that one gate for each channel or head multiplies.

    Attributes:
        variables: the weights.
        shape: in which each of them has the gates along one axis...
        axis: ...and this one to sum over.
    """

    variables: list[Any]
    shape: tuple[int, int]
    axis: int


def _makers(layer: Any) -> list[Any]:
    """The weights that a gate on the output of `layer` multiplies; none if another layer's do."""
    if type(layer).__name__ == "BatchNormalization":
        return [layer.gamma, layer.beta]
    if type(layer).__name__ in ("Conv2D", "DepthwiseConv2D", "Dense") and layer.use_bias:
        return list(layer.trainable_weights)
    return []


def _slopes(
    model: Any, gates: Sequence[_Gate], features: FeatureSet, parameters: TrainingParameters
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Yields, batch by batch, the derivatives of the loss by the values of each gate."""
    schedule = parameters.schedule()
    sampler = Sampler(
        features, parameters.augmentation(), schedule.batch, schedule.seed, schedule.unknown_share
    )
    loss = hard_loss(parameters.label_smoothing)

    @tf.function
    def read(step: Any) -> list[Any]:
        inputs, labels = sampler.draw(step)
        with tf.GradientTape() as tape:
            value = loss(inputs, labels, model(inputs, training=False))
        found = tape.gradient(value, [gate.variables for gate in gates])
        return [
            tf.add_n(
                [
                    tf.reduce_sum(tf.reshape(variable * slope, gate.shape), gate.axis)
                    for variable, slope in zip(gate.variables, slopes, strict=True)
                ]
            )
            for gate, slopes in zip(gates, found, strict=True)
        ]

    for step in range(_BATCHES):
        yield [slope.numpy() for slope in read(tf.constant(step))]

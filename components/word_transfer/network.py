"""The base with outputs for more labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from components.base import UserError
from components.word_transfer.vocabulary import Vocabulary

Model = Any


def widen(
    base: Model, vocabulary: Vocabulary, examples: dict[int, npt.NDArray[np.float32]]
) -> Model:
    """A network that begins as `base`, with outputs for new words beside its own.

    It shares the layers of `base` but for the classifier. A new word's weights begin as the mean of what
    the backbone gives for its recordings, at the length of the old words' weights (imprinting: Qi, Brown
    and Lowe, 2018).

    Args:
        base: ends in a dense layer with softmax.
        vocabulary: the labels.
        examples: inputs of the training recordings of each new word, by its place.

    Raises:
        UserError: if it does not end so.
    """
    last = base.layers[-1]
    if type(last).__name__ != "Dense" or last.get_config()["activation"] != "softmax":
        raise UserError(
            f"the base ends in {type(last).__name__}, and WordTransfer widens a dense classifier: train the "
            "base with another architecture, and with members=1"
        )
    backbone = keras.Model(base.input, last.input)
    old_kernel, old_bias = last.get_weights()
    count = len(vocabulary.labels)
    kernel = np.zeros((old_kernel.shape[0], count), np.float32)
    bias = np.full(count, old_bias.mean(), np.float32)
    kernel[:, vocabulary.old], bias[list(vocabulary.old)] = old_kernel, old_bias
    length = np.linalg.norm(old_kernel, axis=0).mean()
    middle = old_kernel.mean(1)
    for place in vocabulary.new:
        given = backbone(examples[place], training=False).numpy()
        # Words differ in their directions; what all share says nothing.
        direction = (given / np.linalg.norm(given, axis=1, keepdims=True)).mean(0)
        direction -= direction.mean()
        kernel[:, place] = middle + direction * length / max(float(np.linalg.norm(direction)), 1e-6)
    classifier = keras.layers.Dense(count, activation="softmax", name="all_words")
    model = keras.Model(base.input, classifier(last.input))
    classifier.set_weights([kernel, bias])
    return model


def freeze_backbone(model: Model) -> None:
    """Leaves the classifier alone to be trained; batch statistics stay too."""
    for layer in model.layers[:-1]:
        layer.trainable = False


def thaw(model: Model) -> None:
    """Lets later steps train every layer."""
    for layer in model.layers:
        layer.trainable = True

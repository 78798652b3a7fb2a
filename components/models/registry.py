"""Builds an architecture by the name that recipes use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tf_keras as keras

from components.base import UserError
from components.models.bc_resnet import bc_resnet
from components.models.convolutional_autoencoder import convolutional_autoencoder
from components.models.dense_autoencoder import dense_autoencoder
from components.models.dense_forecaster import dense_forecaster
from components.models.ds_cnn import ds_cnn
from components.models.keyword_transformer import keyword_transformer
from components.models.mobilenet_v1 import mobilenet_v1
from components.models.mobilenet_v2 import mobilenet_v2
from components.models.mobilenet_v3 import mobilenet_v3
from components.models.shufflenet import shufflenet
from components.models.squeezenet import squeezenet
from components.models.streaming_resnet import streaming_resnet
from components.models.tc_resnet import tc_resnet

# Each takes frames, channels, labels and widths, and raises ValueError if they do not fit it.
BUILDERS: dict[str, Callable[..., Any]] = {
    "bc_resnet": bc_resnet,
    "ds_cnn": ds_cnn,
    "keyword_transformer": keyword_transformer,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3": mobilenet_v3,
    "shufflenet": shufflenet,
    "squeezenet": squeezenet,
    "streaming_resnet": streaming_resnet,
    "tc_resnet": tc_resnet,
}

# Each takes frames, channels and widths, likewise.
AUTOENCODER_BUILDERS: dict[str, Callable[..., Any]] = {
    "convolutional_autoencoder": convolutional_autoencoder,
    "dense_autoencoder": dense_autoencoder,
}

FORECASTER_BUILDERS: dict[str, Callable[..., Any]] = {"dense_forecaster": dense_forecaster}


def build(
    name: str, frames: int, channels: int, labels: int, widths: tuple[int, ...], *, depth: int = 1
) -> Any:
    """An untrained tf_keras model: input (frames, channels, depth), output `labels` probabilities.

    Args:
        name: one of `components.models.catalogue`.
        frames: feature frames of the window.
        channels: feature channels of a frame.
        labels: how many.
        widths: channels of the architecture's stages; how many there are is its depth.
        depth: values of one channel of a frame: 3 of coloured pictures.

    Raises:
        UserError: if there is no such architecture, or it does not fit the input or the widths.
    """
    if name not in BUILDERS:
        raise UserError(f"no architecture {name!r}; there are {', '.join(sorted(BUILDERS))}")
    try:
        model = BUILDERS[name](frames=frames, channels=channels, labels=labels, widths=widths)
        if depth == 1:
            return model
        # No architecture says how deep its input is: its layers are made anew on a deeper one.
        return keras.models.clone_model(model, keras.layers.Input((frames, channels, depth)))
    except ValueError as e:
        raise UserError(
            f"architecture {name} does not fit {frames} frames x {channels}"
            f"{f' x {depth}' if depth > 1 else ''}: {e}"
        ) from e


def build_autoencoder(name: str, frames: int, channels: int, widths: tuple[int, ...]) -> Any:
    """An untrained tf_keras model: input (frames, channels, 1), output the same values, flat.

    Args:
        name: one of the autoencoders of `components.models.catalogue`.
        frames: rows of the window.
        channels: values of a row.
        widths: channels of its stages, of which the last is the bottleneck.

    Raises:
        UserError: if there is no such autoencoder, or no width.
    """
    return _build_of_rows("autoencoder", AUTOENCODER_BUILDERS, name, frames, channels, widths)


def build_forecaster(name: str, frames: int, channels: int, widths: tuple[int, ...]) -> Any:
    """An untrained tf_keras model: input (frames, channels, 1), output the next row's values.

    Args:
        name: one of the forecasters of `components.models.catalogue`.
        frames: rows of the window.
        channels: values of a row.
        widths: of its layers.

    Raises:
        UserError: if there is no such forecaster, or no width.
    """
    return _build_of_rows("forecaster", FORECASTER_BUILDERS, name, frames, channels, widths)


def _build_of_rows(
    kind: str,
    builders: Mapping[str, Callable[..., Any]],
    name: str,
    frames: int,
    channels: int,
    widths: tuple[int, ...],
) -> Any:
    if name not in builders:
        raise UserError(f"no {kind} {name!r}; there are {', '.join(sorted(builders))}")
    if not widths or min(widths) < 1:
        raise UserError(f"{kind} {name}: widths must be one or more positive numbers")
    return builders[name](frames=frames, channels=channels, widths=widths)

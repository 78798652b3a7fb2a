"""Finds an architecture by the name that recipes use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.base import UserError
from components.models.streaming_resnet import streaming_resnet

Build = Callable[..., Any]

ARCHITECTURES: dict[str, Build] = {"streaming_resnet": streaming_resnet}


def build(name: str, frames: int, channels: int, labels: int, widths: tuple[int, ...]) -> Any:
    """An untrained tf_keras model: input (frames, channels, 1), output `labels` probabilities.

    Raises:
        UserError: if there is no such architecture, or it does not fit the input.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"no architecture {name!r}; there are {', '.join(sorted(ARCHITECTURES))}")
    try:
        return ARCHITECTURES[name](frames=frames, channels=channels, labels=labels, widths=widths)
    except ValueError as e:
        raise UserError(
            f"architecture {name} does not fit {frames} frames x {channels}: {e}"
        ) from e

"""The architectures by name, and what can be said of each without building it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """One architecture.

    Attributes:
        streams_by: frames that a step of its streaming form must be a multiple of, its strides in time
            multiplied: what it computes for a frame does not depend on where the window begins, so that
            it may run on new frames only; None if it runs over a whole, sliding window.
        filters: whether its channels can be removed (`Pruner.method=filter`).
        heads: whether it has attention heads, `heads_of` each width in a layer of its own.
        rounding: whether every layer has a form with int8 rounding to train with (`Quantizer.method`).
        edge_tpu: whether the Edge TPU is predicted to take all of it, in one partition.
        multiple: what every width must be a multiple of.
        rising: whether every width must be larger than the one before it.
        narrows: whether a single tensor passes before nearly all of its work is done, where an exit can
            stand (`EarlyExit.spend`).
    """

    edge_tpu: bool
    streams_by: int | None = None
    filters: bool = True
    heads: bool = False
    rounding: bool = True
    multiple: int = 1
    rising: bool = False
    narrows: bool = True

    def objection(self, widths: Sequence[int]) -> str:
        """Why its stages cannot have `widths`; empty if they can."""
        if not widths or min(widths) < 1:
            return "widths must be one or more positive numbers"
        rises = not self.rising or list(widths) == sorted(set(widths))
        if rises and all(width % self.multiple == 0 for width in widths):
            return ""
        return f"widths must be {'rising ' if self.rising else ''}multiples of {self.multiple}"


def heads_of(width: int) -> int:
    """Attention heads of a layer of so many channels: one for every 16."""
    return max(1, width // 16)


ARCHITECTURES: dict[str, Architecture] = {
    "bc_resnet": Architecture(edge_tpu=True),
    "ds_cnn": Architecture(edge_tpu=True),
    "keyword_transformer": Architecture(edge_tpu=False, filters=False, heads=True, rounding=False),
    "mobilenet_v1": Architecture(edge_tpu=True),
    "mobilenet_v2": Architecture(edge_tpu=True),
    "mobilenet_v3": Architecture(edge_tpu=False, rounding=False),
    "shufflenet": Architecture(edge_tpu=True, multiple=16, rising=True, narrows=False),
    "squeezenet": Architecture(edge_tpu=True, multiple=4),
    "streaming_resnet": Architecture(edge_tpu=True, streams_by=2),
    "tc_resnet": Architecture(edge_tpu=True),
}

# These give the window back, flat, and not the probabilities of labels.
AUTOENCODERS: dict[str, Architecture] = {
    "convolutional_autoencoder": Architecture(edge_tpu=False),
    "dense_autoencoder": Architecture(edge_tpu=True),
}

# These foretell the row after the window.
FORECASTERS: dict[str, Architecture] = {
    "dense_forecaster": Architecture(edge_tpu=True),
}

"""Which channels to remove: those that matter least for the multiply-accumulates that they cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.base import UserError
from components.pruner.channels import Coupling


def choose(
    coupling: Coupling, importance: npt.NDArray[np.float64], macs: int, least: int
) -> npt.NDArray[np.bool_]:
    """Marks the classes that stay, so that one inference costs at most `macs`.

    One class after another goes: the one with the least importance for each multiply-accumulate that
    the network, as it is by then, is spared.

    Args:
        coupling: of the network.
        importance: of each class, 0 or more.
        macs: most multiply-accumulates.
        least: channels that every layer keeps, or all that it has if they are fewer.

    Raises:
        UserError: if so few channels cannot be reached.
    """
    takes, makes, weight = _counts(coupling)
    floor = np.minimum(least, makes.sum(1))
    writes = np.array([layer.writes for layer in coupling.layers])
    kept = np.ones(coupling.classes, bool)
    while coupling.macs(kept) > macs:
        taken, made = takes @ kept, makes @ kept
        # A depthwise convolution takes one channel for each that it makes.
        narrow = np.array([layer.depthwise for layer in coupling.layers])
        taken = np.where(narrow, 1, taken)
        after = (taken[:, None] - np.where(narrow[:, None], 0, takes)) * (made[:, None] - makes)
        spared = weight @ ((taken * made)[:, None] - after)
        short = ((made[:, None] - makes) < floor[:, None]) & (makes > 0) & writes[:, None]
        possible = kept & ~coupling.fixed & ~short.any(0) & (spared > 0)
        if not possible.any():
            raise UserError(
                f"filter pruning cannot reach {macs:,} multiply-accumulates with at least {least} "
                f"channels a layer; at the least it is {coupling.macs(kept):,}: raise "
                "Pruner.macs_share or lower Pruner.least_channels"
            )
        cost = np.where(possible, importance / np.maximum(spared, 1), np.inf)
        kept[int(cost.argmin())] = False
    return kept


def _counts(
    coupling: Coupling,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(channels taken, channels made, both of shape (layers, classes); cost of a pair)."""
    shape = (len(coupling.layers), coupling.classes)
    takes, makes = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, layer in enumerate(coupling.layers):
        np.add.at(takes[row], layer.takes, 1)
        np.add.at(makes[row], layer.makes, 1)
    return takes, makes, np.array([layer.weight for layer in coupling.layers])

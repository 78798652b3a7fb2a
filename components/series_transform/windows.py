"""The int8 windows that networks learn from normal rows, and wider ones to calibrate with."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.network import NetworkSettings, codes_of, windows
from edge_agent.anomaly.rows import Lags, Rows

_REACH = 4.0  # of the codes, in compressed units

Int8 = npt.NDArray[np.int8]
Float32 = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one log, each with the row after it.

    Attributes:
        codes: shape (n, window, channels).
        next: compressed, shape (n, channels).
    """

    codes: Int8
    next: Float32


def windows_of(rows: Rows, window: int) -> Windows:
    """Every window of normalised `rows` that has a row after it; none if there are too few."""
    ahead = NetworkSettings(task="forecast", window=window)
    past = Lags(window + 1).process(rows)[window:]
    seen, after = windows(past, rows.shape[1], ahead)
    return Windows(codes=codes_of(seen), next=after.astype(np.float32))


def widened(codes: Int8, seed: int) -> Int8:
    """Each window once more, as a fault might leave it: louder in all channels, or moved in one.

    Ranges that are taken from normal rows alone would clip what the network is to find.
    """
    random = np.random.default_rng(seed)
    values = codes / 32.0
    largest = np.maximum(np.abs(values).max(axis=(1, 2), keepdims=True), 1e-3)
    louder = values * random.uniform(1.0, np.maximum(_REACH / largest, 1.0))
    moved = values.copy()
    place = random.integers(0, codes.shape[2], len(codes))
    moved[np.arange(len(codes)), :, place] += random.uniform(-_REACH, _REACH, (len(codes), 1))
    which = random.random(len(codes)) < 0.5
    return codes_of(np.where(which[:, None, None], louder, moved))

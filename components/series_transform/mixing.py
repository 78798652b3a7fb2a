"""A fault mixed into the healthy signal of the same machine, as quiet as a fault begins.

Recorded alone, a faulty bearing is so loud that any detector finds it, which proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float64]


def mix(healthy: Signal, fault: Signal, level_db: float) -> Signal:
    """Both together, the fault's power `level_db` beside the healthy signal's.

    Args:
        healthy: samples, shape (n,) or (n, channels).
        fault: the same shape.
        level_db: decibels.
    """
    healthy, fault = healthy - healthy.mean(axis=0), fault - fault.mean(axis=0)
    power = np.maximum((fault**2).mean(axis=0), 1e-30)
    gain = np.sqrt(10 ** (level_db / 10) * (healthy**2).mean(axis=0) / power)
    mixed: Signal = healthy + gain * fault
    return mixed


def partner(name: str, healthy: Sequence[str]) -> str:
    """Of the names of healthy signals the one that ends like `name`, as with its speed, or the first."""
    ending = PurePath(name).stem.rpartition("_")[2]
    alike = [h for h in healthy if PurePath(h).stem.rpartition("_")[2] == ending]
    return (alike or list(healthy))[0]

"""Masks of 0 and 1 over a kernel, whose output channels are its last axis; 1 stays.

Patterns run along the weights of one output channel in the order in which a .tflite file holds them
(rows, columns and, innermost, input channels), so that they are found there again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Kernel = npt.NDArray[Any]
Mask = npt.NDArray[np.float32]


def smallest(kernel: Kernel, sparsity: float) -> Mask:
    """Without the share `sparsity` of smallest size: Han et al. (2015), "Learning both weights and
    connections for efficient neural networks"."""
    return _without(np.abs(kernel), round(sparsity * kernel.size))


def m_by_n(kernel: Kernel, m: int, n: int) -> Mask:
    """At most `m` in each run of `n` stay: Mishra et al. (2021), "Accelerating sparse deep neural networks".

    A last run that is shorter keeps at most `m`, too.
    """
    rows = _by_output(np.abs(kernel))
    mask = np.zeros(rows.shape, np.float32)
    for start in range(0, rows.shape[1], n):
        run = rows[:, start : start + n]
        best = np.argsort(-run, axis=1, kind="stable")[:, :m]
        np.put_along_axis(mask[:, start : start + n], best, 1.0, axis=1)
    return _from_output(mask, kernel.shape)


def block(kernel: Kernel, m: int, n: int, sparsity: float) -> Mask:
    """Without the share `sparsity` of the blocks of least mean size: Narang, Undersander and Diamos (2017),
    "Block-sparse recurrent neural networks".

    A block is `m` output channels by `n` consecutive weights; those at the edges may be smaller.
    """
    rows = _by_output(np.abs(kernel))
    heights = np.arange(0, rows.shape[0], m)
    widths = np.arange(0, rows.shape[1], n)
    sums = np.add.reduceat(np.add.reduceat(rows, heights, 0), widths, 1)
    areas = np.add.reduceat(np.add.reduceat(np.ones_like(rows), heights, 0), widths, 1)
    blocks = _without(sums / areas, round(sparsity * sums.size))
    whole = np.repeat(np.repeat(blocks, m, 0)[: rows.shape[0]], n, 1)[:, : rows.shape[1]]
    return _from_output(whole, kernel.shape)


def _without(sizes: Kernel, count: int) -> Mask:
    """0 at the `count` smallest of `sizes`; of equal ones, the first."""
    mask = np.ones(sizes.size, np.float32)
    mask[np.argsort(sizes, axis=None, kind="stable")[:count]] = 0.0
    return mask.reshape(sizes.shape)


def _by_output(kernel: Kernel) -> Kernel:
    return kernel.reshape(-1, kernel.shape[-1]).T


def _from_output(rows: Mask, shape: tuple[int, ...]) -> Mask:
    return np.ascontiguousarray(rows.T).reshape(shape)

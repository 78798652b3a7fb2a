"""The masks of pruning, over kernels of any shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.pruner import masks
from components.pruner.component import PrunerParameters

SHAPES = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)
) | st.tuples(st.integers(1, 12), st.integers(1, 9))
KERNELS = arrays.arrays(np.float32, SHAPES, elements=st.floats(-1, 1, width=32))


def runs_of_outputs(mask: np.ndarray, n: int) -> list[np.ndarray]:
    """Runs of `n` consecutive weights of each output channel, in the order of a .tflite file."""
    in_file = np.moveaxis(mask, -1, 0)
    rows = in_file.reshape(in_file.shape[0], -1)
    return [row[start : start + n] for row in rows for start in range(0, rows.shape[1], n)]


@given(KERNELS, st.integers(1, 3), st.integers(1, 3))
def test_of_n_consecutive_weights_the_m_largest_stay(kernel, m, more):
    n = m + more
    mask = masks.m_by_n(kernel, m, n)
    sizes = runs_of_outputs(np.abs(kernel), n)
    for kept, run in zip(runs_of_outputs(mask, n), sizes, strict=True):
        assert kept.sum() == min(m, len(run))
        assert run[kept == 1].min() >= run[kept == 0].max(initial=0.0)


@given(KERNELS, st.floats(0, 0.99))
def test_the_smallest_weights_go(kernel, sparsity):
    mask = masks.smallest(kernel, sparsity)
    assert (mask == 0).sum() == round(sparsity * kernel.size)
    sizes = np.abs(kernel)
    assert sizes[mask == 1].min(initial=9.0) >= sizes[mask == 0].max(initial=0.0)


@given(KERNELS, st.integers(1, 4), st.integers(1, 5), st.floats(0, 0.99))
def test_blocks_go_as_one(kernel, m, n, sparsity):
    mask = masks.block(kernel, m, n, sparsity)
    in_file = np.moveaxis(mask, -1, 0)
    rows = in_file.reshape(in_file.shape[0], -1)
    blocks = [
        rows[i : i + m, j : j + n]
        for i in range(0, rows.shape[0], m)
        for j in range(0, rows.shape[1], n)
    ]
    assert all(len(np.unique(block)) == 1 for block in blocks)
    assert sum(block[0, 0] == 0 for block in blocks) == round(sparsity * len(blocks))


def test_the_block_of_least_mean_size_goes():
    kernel = np.array([[9.0, 9, 2], [9, 9, 2], [9, 1, 9], [9, 1, 9]])
    # Outputs are columns: outputs 0 and 1 make two blocks of mean 9 and 5, output 2 two of 2 and 9.
    mask = masks.block(kernel, 2, 2, 0.25)
    assert mask.tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial_sparsity": 0.6, "final_sparsity": 0.5},
        {"final_sparsity": 1.0},
        {"ramp": 0.0},
        {"frequency": 0},
        {"m_by_n": (4, 4)},
        {"m_by_n": (2,)},
        {"block": (0, 4)},
        {"macs_share": 0.0},
        {"heads_share": 1.5},
        {"rounds": 0},
        {"least_channels": 0},
    ],
)
def test_pruning_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        PrunerParameters(**wrong)

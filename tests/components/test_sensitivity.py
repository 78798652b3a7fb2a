"""The sweep over layers: it finds the one that cannot be rounded, and leaves the network as it was."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.apart import with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS

pytestmark = pytest.mark.slow


@with_tensorflow
def test_the_layer_that_cannot_be_rounded_comes_first_and_nothing_is_changed():
    import tf_keras as keras

    from components.models import registry
    from components.quantizer.sensitivity import sweep

    keras.utils.set_random_seed(2)
    model = registry.build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (8,))
    convolutions = [x for x in model.layers if type(x).__name__ == "Conv2D"]
    bad = convolutions[1]
    # One of its inputs is always 0, and has weights so large that all others are lost on their grid.
    norm = [x for x in model.layers if type(x).__name__ == "BatchNormalization"][1]
    alive = np.ones(8)
    alive[0] = 0.0
    norm.gamma.assign(alive)
    kernel = bad.kernel.numpy()
    kernel[0, 0, 0] = 100.0
    bad.kernel.assign(kernel)
    before = model.get_weights()
    codes = np.random.default_rng(1).integers(-128, 128, (40, FRAMES, CHANNELS)).astype(np.int8)
    truth = np.zeros(40, np.int32)
    swept = sweep(model, codes, truth, [8, 4])
    rows = swept["layers"]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert {(r["layer"], r["bits"]) for r in rows if r["what"] == "weights"} == {
        (x.name, bits)
        for x in model.layers
        if type(x).__name__ in ("Conv2D", "DepthwiseConv2D", "Dense")
        for bits in (8, 4)
    }
    assert sum(r["what"] == "outputs" for r in rows) == 6
    worst = [r for r in rows if r["what"] == "weights"][:2]
    assert {(r["layer"], r["bits"]) for r in worst} == {(bad.name, 8), (bad.name, 4)}
    assert [r["divergence"] for r in rows] == sorted((r["divergence"] for r in rows), reverse=True)
    eight = next(r for r in rows if (r["layer"], r["bits"]) == (convolutions[0].name, 8))
    assert eight["weights"] == convolutions[0].kernel.shape.num_elements()
    assert 0 <= eight["divergence"] < 1e-3


def test_weights_are_rounded_as_the_int8_file_has_them():
    from components.quantizer.sensitivity import rounded_kernel

    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 2)).astype(np.float32)
    kernel[..., 1] *= 100
    for bits in (8, 4, 2):
        rounded = rounded_kernel(kernel, bits)
        for channel in range(2):
            values = np.unique(rounded[..., channel])
            assert len(values) <= 2**bits - 1
            assert np.abs(values).max() == pytest.approx(np.abs(kernel[..., channel]).max())
    dense = rounded_kernel(kernel.reshape(-1, 2), 4)
    assert len(np.unique(dense)) <= 15

"""The student's architecture: what it computes for a frame does not depend on the window."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.apart import with_tensorflow

pytestmark = pytest.mark.slow


@with_tensorflow
def test_a_longer_input_gives_the_features_of_each_window_in_it():
    import tf_keras as keras

    from components.models import registry

    def before_pooling(frames: int) -> object:
        keras.utils.set_random_seed(7)
        model = registry.build("streaming_resnet", frames, 40, 3, (4, 6))
        (pool,) = (x for x in model.layers if type(x).__name__ == "AveragePooling2D")
        return keras.Model(model.input, pool.input)

    frames, more = 33, 12
    short, long = before_pooling(frames), before_pooling(frames + more)
    for a, b in zip(short.weights, long.weights, strict=True):
        assert a.shape == b.shape
    long.set_weights(short.get_weights())
    codes = np.random.default_rng(1).normal(size=(2, frames + more, 40, 1)).astype(np.float32)
    whole = long.predict(codes, verbose=0)
    stride = 2
    for start in range(0, more + 1, stride):
        window = short.predict(codes[:, start : start + frames], verbose=0)
        at = start // stride
        np.testing.assert_allclose(whole[:, at : at + window.shape[1]], window, atol=1e-5)


@with_tensorflow
def test_it_gives_probabilities_and_its_work_is_counted():
    from components.models import registry
    from components.models.macs import count_macs

    model = registry.build("streaming_resnet", 17, 20, 3, (4,))
    said = model.predict(np.zeros((1, 17, 20, 1), np.float32), verbose=0)
    assert said.shape == (1, 3)
    assert said.sum() == pytest.approx(1.0, abs=1e-5)
    first = 7 * 8 * 4 * 25
    block = (5 * 6 + 3 * 4) * 4 * 4 * 9
    assert count_macs(model) == first + block + 4 * 3


@with_tensorflow
def test_no_such_architecture_and_no_room_for_it_are_said_plainly():
    from components.base import UserError
    from components.models import registry

    with pytest.raises(UserError, match="no architecture 'vgg'; there are bc_resnet, ds_cnn"):
        registry.build("vgg", 49, 40, 3, (4,))
    with pytest.raises(UserError, match="streaming_resnet does not fit 10 frames x 40"):
        registry.build("streaming_resnet", 10, 40, 3, (4,))

"""Autoencoders: they give a window back, and what they never saw they give back worse, in int8 too."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.models.catalogue import AUTOENCODERS
from tests.fixtures.apart import with_tensorflow

NAMES = sorted(AUTOENCODERS)
FRAMES, CHANNELS = 15, 12
pytestmark = pytest.mark.slow


def windows(rows: int, seed: int, *, broken: bool = False) -> npt.NDArray[np.int8]:
    """Channels that follow one wave each at its own gain; broken: two of them follow another."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 2 * np.pi, (rows, 1, 1))
    time = np.arange(FRAMES)[None, :, None] / FRAMES * 2 * np.pi
    gain = np.linspace(-70, 70, CHANNELS)[None, None]
    wave = np.sin(time + phase) * gain
    if broken:
        wave[:, :, [1, 10]] = np.sin(2 * time + phase) * gain[:, :, [1, 10]]
    noise = random.normal(0, 4, wave.shape)
    return np.clip(np.rint(wave + noise), -128, 127).astype(np.int8)


@pytest.mark.parametrize("name", NAMES)
@with_tensorflow
def test_the_last_width_is_the_bottleneck_and_the_output_has_the_input_s_size(name: str) -> None:
    from components.models import registry

    model: Any = registry.build_autoencoder(name, FRAMES, CHANNELS, (16, 3))
    assert model.output_shape == (None, FRAMES * CHANNELS)
    width = {
        int(np.prod(layer.output.shape[1:])): layer.output.shape[-1]
        for layer in model.layers
        if type(layer).__name__ == "ReLU"
    }
    assert width[min(width)] == 3


@pytest.mark.parametrize("name", NAMES)
@with_tensorflow
def test_trained_it_tells_in_int8_what_is_not_like_the_windows_it_learned(name: str) -> None:
    import tf_keras as keras

    from components.converter.convert import to_int8
    from components.models import registry
    from edge_agent.anomaly.metrics import roc_auc
    from edge_agent.features.audio import INPUT_SCALE
    from edge_agent.runtime import open_model

    keras.utils.set_random_seed(3)
    model = registry.build_autoencoder(name, FRAMES, CHANNELS, (24, 4))
    train = windows(400, 1)
    inputs = train.astype(np.float32)[..., None] * INPUT_SCALE
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    model.fit(inputs, inputs.reshape(len(inputs), -1), batch_size=32, epochs=16, verbose=0)
    int8 = open_model(to_int8(model, train[:200]), runtime="litert")

    def error(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
        found = np.stack([int8.invoke(window) for window in codes]).astype(float)
        back = (found - int8.output.zero_point) * int8.output.scale
        return np.mean((back - codes.reshape(len(codes), -1) * INPUT_SCALE) ** 2, axis=1)

    normal, broken = error(windows(100, 2)), error(windows(100, 2, broken=True))
    spread = float(np.var(windows(100, 2) * INPUT_SCALE))
    assert normal.mean() < 0.3 * spread
    labels = np.repeat([False, True], 100)
    assert (roc_auc(np.concatenate([normal, broken]), labels) or 0.0) > 0.95


@with_tensorflow
def test_what_there_is_not_is_refused_by_name() -> None:
    from components.base import UserError
    from components.models import registry

    with pytest.raises(
        UserError, match="no autoencoder 'vae'; there are convolutional_autoencoder"
    ):
        registry.build_autoencoder("vae", FRAMES, CHANNELS, (8,))
    for widths in ((), (8, 0)):
        with pytest.raises(UserError, match="one or more positive"):
            registry.build_autoencoder("dense_autoencoder", FRAMES, CHANNELS, widths)

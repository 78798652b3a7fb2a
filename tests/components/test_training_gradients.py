"""Gradients of few bits: on their grid, and right on average."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features

pytestmark = pytest.mark.slow


@with_tensorflow
def test_rounding_is_on_the_grid_and_unbiased():
    import tensorflow as tf

    from components.training.gradients import rounded

    gradient = np.random.default_rng(1).normal(size=50).astype(np.float32)
    bits, draws = 3, 4000
    step = np.abs(gradient).max() / 3
    many = tf.tile(tf.constant(gradient)[None], (draws, 1))
    drawn = rounded(many, bits, tf.constant([7, 1])).numpy()
    steps = drawn / step
    assert np.allclose(steps, np.rint(steps), atol=1e-4)
    assert set(np.rint(steps).ravel()) <= set(range(-3, 4))
    assert np.abs(drawn - gradient).max() < step * 1.0001
    # A draw is off by at most half a step in standard deviation; five of the mean's are allowed.
    assert np.abs(drawn.mean(0) - gradient).max() < 5 * 0.5 * step / np.sqrt(draws)
    # Rounding to the nearest step, which loses what is small, would not pass.
    nearest = step * np.rint(gradient / step)
    assert np.abs(nearest - gradient).max() > 5 * 0.5 * step / np.sqrt(draws)
    # Each value has a draw of its own: two that are alike do not go the same way.
    alike = rounded(tf.constant([0.5] * 200 + [1.0]), 2, tf.constant([7, 1])).numpy()
    assert 60 < alike[:200].sum() < 140


@with_tensorflow
def test_no_gradient_at_all_stays_none():
    import tensorflow as tf

    from components.training.gradients import rounded

    assert not rounded(tf.zeros(4), 4, tf.constant([1, 2])).numpy().any()


@with_tensorflow
def test_a_step_of_training_takes_the_rounded_gradients(tmp_path: Path):
    import tensorflow as tf
    import tf_keras as keras

    from components.models.registry import build
    from components.training import loop
    from components.training.losses import hard_loss
    from components.training.parameters import TrainingParameters
    from components.training.sampler import Sampler

    features = write_features(tmp_path)
    schedule = TrainingParameters(
        threads=THREADS, gradient_bits=2, examples_per_epoch=32
    ).schedule()
    sampler = Sampler(features, TrainingParameters().augmentation(), 32, 1, 0.13)
    keras.utils.set_random_seed(1)
    model = build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (4,))
    taken: list[np.ndarray] = []
    training = loop._Training(model, schedule, sampler, hard_loss(0.1), {})
    training.optimizer.apply_gradients = lambda pairs: taken.extend(g.numpy() for g, _ in pairs)
    tf.config.run_functions_eagerly(True)
    try:
        training._step()
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(taken) == len(model.trainable_variables)
    for gradient in taken:
        assert len(np.unique(np.abs(gradient[gradient != 0]))) <= 1

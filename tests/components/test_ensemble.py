"""An ensemble is one network: it gives the mean of its members, and runs on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import read_json
from components.infra_validator.measure import Measured, measure
from components.infra_validator.parity import compare
from components.targets.flatbuffer import read_graph
from components.targets.lint import lint
from components.targets.profile import load_profile
from components.trainer.component import TrainerParameters
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, codes_of, write_features

slow = pytest.mark.slow
MEMBERS = 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """``features model model.tflite said.npy``: two specialists, trained and converted."""
    folder = tmp_path_factory.mktemp("ensemble")
    train(folder)
    return folder


def windows() -> Any:
    rng = np.random.default_rng(9)
    rows = [codes_of(label, rng)[3 : 3 + FRAMES] for label in range(len(LABELS)) for _ in range(8)]
    return np.stack(rows)


@with_tensorflow
def train(folder: Path) -> None:
    import tf_keras as keras

    from components.converter.convert import to_int8
    from components.trainer.executor import execute

    features = write_features(folder / "features")
    (folder / "model").mkdir()
    parameters = TrainerParameters(
        architecture="ds_cnn", widths=(4,), members=MEMBERS, focus=20.0, epochs=2, patience=9,
        examples_per_epoch=1280, learning_rate=0.01, ema=0.8, threads=THREADS,
    )  # fmt: skip
    execute({"features": features.folder}, {"model": folder / "model"}, parameters)
    model = keras.models.load_model(folder / "model" / "model.h5", compile=False)
    codes = windows()
    (folder / "model.tflite").write_bytes(to_int8(model, codes))
    inputs = codes[..., None].astype(np.float32) / 32.0
    members = keras.Model(model.input, [model.output, *model.layers[-1].input])
    np.save(folder / "said.npy", np.stack([x.numpy() for x in members(inputs, training=False)]))


@slow
def test_it_gives_the_mean_of_members_that_differ(trained):
    mean, first, second = np.load(trained / "said.npy")
    assert np.allclose(mean, (first + second) / 2, atol=1e-6)
    assert not np.allclose(first, second, atol=0.05)
    description = read_json(trained / "model" / "model.json")
    alone = 364
    assert (description["members"], description["params"]) == (MEMBERS, MEMBERS * alone)


@slow
def test_a_member_is_surer_of_the_labels_that_it_is_the_specialist_of(trained):
    _, first, second = np.load(trained / "said.npy")
    own = np.arange(len(LABELS)) % MEMBERS == 0
    assert first[:, own].sum(1).mean() > second[:, own].sum(1).mean() + 0.2


@slow
def test_it_runs_on_a_device_as_it_was_trained(trained):
    graph = read_graph(trained / "model.tflite")
    assert graph.float_tensors == ()
    for target in ("tflm", "tflite-runtime-2.14", "litert", "edgetpu"):
        assert lint(graph, load_profile(target))["ok"], target
    reference, tflm = (
        measure(runtime, trained / "model.tflite", windows(), 1)
        for runtime in ("reference", "tflm")
    )
    assert isinstance(reference, Measured)
    assert isinstance(tflm, Measured)
    assert compare(tflm.outputs, reference.outputs).max_lsb <= 1
    grid = graph.tensors[graph.outputs[0]].quantisation  # that of a mean, not of a softmax
    assert grid is not None
    said = (reference.outputs.astype(float) - grid.zero_points[0]) * grid.scales[0]
    mean = np.load(trained / "said.npy")[0]
    assert np.abs(said - mean).mean() < 0.03
    assert (said.argmax(1) == mean.argmax(1)).mean() > 0.9


@slow
@with_tensorflow
def test_labels_are_dealt_out_and_weights_are_one_in_the_mean():
    from components.trainer.ensemble import label_weights

    first, second = (label_weights(member, 2, 5, 3.0) for member in (0, 1))
    assert np.allclose(first, np.asarray([3, 1, 3, 1, 3]) * 5 / 11)
    assert np.allclose(second, np.asarray([1, 3, 1, 3, 1]) * 5 / 9)


@slow
@with_tensorflow
def test_one_member_is_itself_and_many_keep_apart():
    import tf_keras as keras

    from components.models.registry import build
    from components.trainer.ensemble import join

    keras.utils.set_random_seed(1)
    members = [build("keyword_transformer", FRAMES, CHANNELS, len(LABELS), (16,)) for _ in range(3)]
    assert join(members[:1]) is members[0]
    whole = join(members)
    inputs = windows()[..., None].astype(np.float32) / 32.0
    mean = sum(m(inputs, training=False).numpy() for m in members) / 3
    assert np.allclose(whole(inputs, training=False), mean, atol=1e-6)
    members[0].set_weights([0 * w for w in members[0].get_weights()])
    assert np.allclose(whole(inputs, training=False), mean, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"members": 0}, {"focus": 0.5}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be 1 or more"):
        TrainerParameters(**wrong)

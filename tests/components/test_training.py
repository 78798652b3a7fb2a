"""What the training steps share: batches, losses, the loop."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from components.base import CHECKPOINT, UserError
from components.training.checkpoint import Checkpoint, State
from components.training.data import Split, groups
from components.training.parameters import FeatureAugmentation, TrainingParameters
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.features.audio import INPUT_SCALE
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features

PLAIN = FeatureAugmentation(**{f.name: 0.0 for f in dataclasses.fields(FeatureAugmentation)})


def split(*rows: tuple[str, int]) -> Split:
    """A split of rows of (label, view)."""
    label = np.asarray([LABELS.index(name) for name, _ in rows], np.int32)
    view = np.asarray([view for _, view in rows], np.int32)
    clip = np.where(view < 0, -1, np.arange(len(rows))).astype(np.int32)
    codes = np.zeros((len(rows), FRAMES, CHANNELS), np.int8)
    return Split(codes=codes, label=label, clip=clip, view=view)


def test_groups_share_a_batch_in_fixed_proportion():
    rows = split(
        ("yes", 0), ("no", 1), (UNKNOWN, 0), (UNKNOWN, -1), (SILENCE, 0), (SILENCE, -1), ("yes", 2)
    )  # fmt: skip
    found = groups(rows, LABELS, 0.13)
    assert [places.tolist() for _, places in found] == [[0, 1, 6], [2], [3], [4], [5]]
    assert [share for share, _ in found] == pytest.approx([0.78, 0.13, 0.02, 0.04, 0.03])


def test_the_others_grow_in_proportion_where_a_group_is_empty():
    found = groups(split(("yes", 0), (SILENCE, 0), (SILENCE, 1)), LABELS, 0.3)
    assert [places.tolist() for _, places in found] == [[0], [1, 2]]
    assert [share for share, _ in found] == pytest.approx([0.78 / 0.82, 0.04 / 0.82])


def test_the_share_of_unknown_words_can_be_chosen():
    found = groups(split(("yes", 0), (UNKNOWN, 0), (SILENCE, 0)), LABELS, 0.5)
    others = 0.5 / 0.87
    total = 0.5 + 0.82 * others
    assert [share for share, _ in found] == pytest.approx(
        [0.78 * others / total, 0.5 / total, 0.04 * others / total]
    )


def test_no_row_to_train_on_is_said_plainly():
    with pytest.raises(UserError, match="the training split holds no clip: add recordings"):
        groups(split(), LABELS, 0.13)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch": 0},
        {"examples_per_epoch": 100, "batch": 128},
        {"label_smoothing": 1.0},
        {"ema": 1.0},
        {"learning_rate": 0.0},
        {"unknown_share": 1.0},
        {"threads": 0},
        {"gradient_bits": 1},
        {"gradient_bits": 17},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        TrainingParameters(**wrong)


def test_parameters_fall_into_a_schedule_and_an_augmentation():
    parameters = TrainingParameters(epochs=3, examples_per_epoch=1000, batch=300, tilt=9.0)
    assert dataclasses.asdict(parameters) == {
        **dataclasses.asdict(parameters.schedule()),
        **dataclasses.asdict(parameters.augmentation()),
    }
    assert parameters.schedule().steps_per_epoch == 3


@pytest.mark.slow
@with_tensorflow
def test_without_augmentation_a_batch_is_the_codes_as_they_are(tmp_path: Path):
    from components.training.sampler import Sampler

    features = write_features(tmp_path, views=0)
    inputs, labels = (t.numpy() for t in Sampler(features, PLAIN, 32, 1, 0.13).draw(0))
    assert (inputs.shape, labels.shape) == ((32, FRAMES, CHANNELS, 1), (32, len(LABELS)))
    rows = features.split("train")
    centred = features.centred(rows.codes)
    for example, one_hot in zip(inputs[..., 0], labels, strict=True):
        codes = example / INPUT_SCALE
        found = np.flatnonzero((centred == codes).all((1, 2)))
        assert len(found) == 1
        assert np.array_equal(one_hot, np.eye(len(LABELS))[rows.label[found[0]]])


@pytest.mark.slow
@with_tensorflow
def test_a_batch_is_a_function_of_seed_and_step(tmp_path: Path):
    from components.training.sampler import Sampler

    features = write_features(tmp_path, made=4)

    def draw(seed: int, step: int) -> np.ndarray:
        return (
            Sampler(features, TrainingParameters().augmentation(), 32, seed, 0.13)
            .draw(step)[0]
            .numpy()
        )

    assert np.array_equal(draw(1, 5), draw(1, 5))
    assert not np.array_equal(draw(1, 5), draw(1, 6))
    assert not np.array_equal(draw(1, 5), draw(2, 5))
    low, high = -128 * INPUT_SCALE, 127 * INPUT_SCALE
    assert low <= draw(1, 5).min() <= draw(1, 5).max() <= high


@pytest.mark.slow
@with_tensorflow
def test_a_batch_holds_the_shares_of_the_groups(tmp_path: Path):
    from components.training.sampler import Sampler

    features = write_features(tmp_path, made=4)
    labels = Sampler(features, PLAIN, 100, 1, 0.13).draw(0)[1].numpy().sum(0)
    keywords = labels[LABELS.index("yes")] + labels[LABELS.index("no")]
    assert (keywords, labels[LABELS.index(UNKNOWN)], labels[LABELS.index(SILENCE)]) == (78, 15, 7)


@pytest.mark.slow
@with_tensorflow
def test_a_shift_moves_the_codes_within_their_margin(tmp_path: Path):
    from components.training.sampler import Sampler

    features = write_features(tmp_path, views=0)
    shifting = dataclasses.replace(PLAIN, shift_frames=float(features.margin))
    inputs = Sampler(features, shifting, 64, 1, 0.13).draw(0)[0].numpy()[..., 0] / INPUT_SCALE
    codes = features.split("train").codes.astype(float)
    # Linear interpolation between frames: some row and some shift explain each example.
    for example in inputs:
        best = min(
            np.abs(example - _shifted(codes, shift)).max((1, 2)).min()
            for shift in np.linspace(-features.margin, features.margin, 121)
        )
        assert best < 8.0
    assert not np.array_equal(inputs, np.rint(inputs))


@pytest.mark.slow
@with_tensorflow
def test_mixup_mixes_labels_as_it_mixes_inputs(tmp_path: Path):
    from components.training.sampler import Sampler

    features = write_features(tmp_path, views=0)
    mixing = dataclasses.replace(PLAIN, mixup=0.4)
    plain, one_hot = (t.numpy() for t in Sampler(features, PLAIN, 16, 1, 0.13).draw(0))
    mixed, labels = (t.numpy() for t in Sampler(features, mixing, 16, 1, 0.13).draw(0))
    assert np.allclose(labels.sum(1), 1.0, atol=1e-6)
    assert labels.max(1).min() >= 0.6 - 1e-6
    for example, label, own, own_label in zip(mixed, labels, plain, one_hot, strict=True):
        # Some partner and one weight explain both the input and the label.
        errors = []
        for other, other_label in zip(plain, one_hot, strict=True):
            difference = (own - other).ravel()
            if not difference.any():
                weight = 1.0
            else:
                weight = float((example - other).ravel() @ difference / (difference @ difference))
            explained = weight * own + (1 - weight) * other
            said = weight * own_label + (1 - weight) * other_label
            errors.append(np.abs(example - explained).max() + np.abs(label - said).max())
        assert min(errors) < 1e-3


def _shifted(codes: np.ndarray, shift: float) -> np.ndarray:
    margin = (codes.shape[1] - FRAMES) // 2
    whole = math.floor(shift)
    start, part = margin + whole, shift - whole
    after = min(start + 1, codes.shape[1] - FRAMES)
    return (1 - part) * codes[:, start : start + FRAMES] + part * codes[:, after : after + FRAMES]


@pytest.mark.slow
@with_tensorflow
def test_losses_are_those_of_the_papers():
    import tensorflow as tf

    from components.training.losses import distillation_loss, hard_loss

    rng = np.random.default_rng(3)
    logits, taught = rng.normal(size=(2, 5, 4))
    labels = np.eye(4)[[0, 1, 2, 3, 1]]

    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z)
        return e / e.sum(-1, keepdims=True)

    def cross_entropy(target: np.ndarray, said: np.ndarray) -> float:
        return float(-(target * np.log(said)).sum(-1).mean())

    said = tf.constant(softmax(logits), tf.float32)
    truth = tf.constant(labels, tf.float32)
    hard = cross_entropy(0.9 * labels + 0.1 / 4, softmax(logits))
    assert float(hard_loss(0.1)(None, truth, said)) == pytest.approx(hard, abs=1e-5)
    soft = 9.0 * cross_entropy(softmax(taught / 3.0), softmax(logits / 3.0))

    def teacher(inputs: object, training: bool) -> object:
        assert not training
        return tf.constant(softmax(taught), tf.float32)

    found = float(distillation_loss(teacher, 3.0, 0.25, 0.1)(None, truth, said))
    assert found == pytest.approx(0.25 * hard + 0.75 * soft, abs=1e-4)


def _small(epochs: int, **changes: object) -> TrainingParameters:
    values = {"examples_per_epoch": 320, "batch": 32, "learning_rate": 0.01, "ema": 0.8}
    return TrainingParameters(epochs=epochs, **{**values, **changes})


def _network() -> object:
    from components.models.registry import build
    from components.training import loop

    loop.prepare(TrainingParameters(seed=1, threads=THREADS).schedule())
    return build("streaming_resnet", FRAMES, CHANNELS, len(LABELS), (4,))


@pytest.mark.slow
@with_tensorflow
def test_training_learns_and_leaves_its_curves(tmp_path: Path):
    import tf_keras as keras

    from components.training import loop
    from components.training.losses import hard_loss

    features = write_features(tmp_path / "features")
    model = _network()
    before = [w.numpy() for w in model.weights]
    p = _small(6)
    out = tmp_path / "out"
    history = loop.fit(model, features, p.schedule(), p.augmentation(), hard_loss(0.1), out)
    assert set(history) == {"loss", "validation_loss", "validation_accuracy"}
    assert {len(curve) for curve in history.values()} == {6}
    metrics = loop.metrics_of(history)
    assert metrics["validation_accuracy"] > 0.5
    assert metrics["validation_loss"] == min(history["validation_loss"])
    assert history["validation_loss"][int(metrics["epochs"]) - 1] == metrics["validation_loss"]
    assert list((out / "logs" / "tensorboard").glob("events.*"))
    assert not all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.weights, strict=True))

    # What is kept is the model that had the best loss, and it comes back from its file.
    loop.save(model, out, {"architecture": "streaming_resnet"}, history)
    assert json.loads((out / "history.json").read_text()) == history
    again = keras.models.load_model(out / "model.h5", compile=False)
    val = features.split("val")
    inputs = features.centred(val.codes)[..., None] * np.float32(INPUT_SCALE)
    said = again.predict(inputs, verbose=0)
    loss = float(-np.log(said[np.arange(len(val.label)), val.label] + 1e-7).mean())
    assert loss == pytest.approx(metrics["validation_loss"], abs=1e-4)

    # The same seed gives the same weights.
    other = _network()
    elsewhere = tmp_path / "elsewhere"
    repeated = loop.fit(other, features, p.schedule(), p.augmentation(), hard_loss(0.1), elsewhere)
    assert repeated == history
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


class _Killed(Exception):
    pass


@pytest.mark.slow
@with_tensorflow
def test_a_training_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path):
    from components.training import loop
    from components.training.losses import hard_loss

    features = write_features(tmp_path / "features")
    p = _small(5, patience=2)
    steps: list[int] = []

    def train(out: Path, last: int) -> tuple[list[np.ndarray], dict[str, list[float]]]:
        """Trains on in `out`, and dies before step `last`."""
        steps.clear()

        def before_step(step: int) -> None:
            if step == last:
                raise _Killed
            steps.append(step)

        model = _network()
        history = loop.fit(
            model, features, p.schedule(), p.augmentation(), hard_loss(0.1), out,
            before_step=before_step,
        )  # fmt: skip
        return model.get_weights(), history

    weights, history = train(tmp_path / "whole", -1)
    total = len(steps)
    for last in (3, 14, 37):  # ten steps an epoch
        with pytest.raises(_Killed):
            train(tmp_path / "killed", last)
    again, told = train(tmp_path / "killed", -1)
    assert steps == list(range(30, total))
    assert told == history
    for one, other in zip(weights, again, strict=True):
        assert np.array_equal(one, other)

    # Killed after its last epoch, it need not train at all.
    again, told = train(tmp_path / "killed", -1)
    assert (steps, told) == ([], history)
    for one, other in zip(weights, again, strict=True):
        assert np.array_equal(one, other)


def _state(epochs: int) -> State:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.int32(4) * np.ones((), np.int32)]
    return State(
        variables=arrays,
        best=[array + 1 for array in arrays],
        best_epoch=epochs - 1,
        best_loss=0.25,
        history={"loss": [0.5] * epochs},
    )


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.read([(2, 3), ()]) is None
    checkpoint.write(_state(1))
    checkpoint.write(_state(2))
    found = checkpoint.read([(2, 3), ()])
    assert found is not None
    assert (found.best_epoch, found.best_loss, found.history) == (1, 0.25, {"loss": [0.5, 0.5]})
    for one, other in zip(found.variables, _state(2).variables, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert [path.name for path in (tmp_path / CHECKPOINT).iterdir()] == ["training.npz"]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "other"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, damage, capsys):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write(_state(1))
    path = tmp_path / CHECKPOINT / "training.npz"
    data = bytearray(path.read_bytes())
    shapes: list[tuple[int, ...]] = [(2, 3), ()]
    match damage:
        case "empty":
            data = bytearray()
        case "cut":
            data = data[: len(data) // 2]
        case "flipped":
            data[data.index(b"\x80?") + 1] ^= 1  # within a number
        case "text":
            data = bytearray(b"no archive")
        case "other":
            shapes = [(3, 2), ()]
    path.write_bytes(data)
    assert checkpoint.read(shapes) is None
    assert "training.npz" in capsys.readouterr().err


@pytest.mark.slow
@with_tensorflow
def test_kept_zeros_stay_zero(tmp_path: Path):
    from components.training import loop
    from components.training.losses import hard_loss
    from components.training.sparsity import kernels, sparsity, zero_masks

    features = write_features(tmp_path / "features")
    model = _network()
    for kernel in kernels(model):
        kernel.assign(kernel * (np.arange(kernel.shape[-1]) % 2 == 0))
    share, masks = sparsity(model), zero_masks(model)
    assert 0.4 < share < 0.6
    p = _small(1)
    loop.fit(
        model, features, p.schedule(), p.augmentation(), hard_loss(0.1), tmp_path / "o", keep=masks
    )
    assert sparsity(model) == share
    for kernel in kernels(model):
        assert not kernel.numpy()[masks[kernel.name] == 0].any()
        assert kernel.numpy().any()


@pytest.mark.slow
@with_tensorflow
def test_training_stops_when_it_does_not_get_better(tmp_path: Path):
    from components.training import loop
    from components.training.losses import hard_loss

    features = write_features(tmp_path / "features")
    steps = []
    p = _small(50, patience=2, learning_rate=1e-12, ema=0.0, examples_per_epoch=32)
    history = loop.fit(
        _network(), features, p.schedule(), p.augmentation(), hard_loss(0.1), tmp_path / "o",
        before_step=steps.append,
    )  # fmt: skip
    assert 3 <= len(history["loss"]) < 50
    assert steps == list(range(len(history["loss"])))


@pytest.mark.slow
@with_tensorflow
def test_a_loss_that_is_no_number_is_said_plainly(tmp_path: Path):
    import tensorflow as tf

    from components.training import loop

    features = write_features(tmp_path / "features")
    p = _small(1, examples_per_epoch=32)
    with pytest.raises(UserError, match=r"training diverged.*lower learning_rate"):
        loop.fit(
            _network(), features, p.schedule(), p.augmentation(),
            lambda inputs, labels, said: tf.reduce_mean(said) * math.nan, tmp_path / "o",
        )  # fmt: skip

"""Distillation: what each technique does to a student, and what it refuses before it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from components.base import UserError
from components.distiller.blocks import evenly
from components.distiller.component import DistillerParameters
from pipeline.recipe import apply_settings, demand_fit
from pipeline.recipes import keyword_spotting
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features

slow = pytest.mark.slow
SHORT: dict[str, Any] = {
    "examples_per_epoch": 320,
    "batch": 32,
    "ema": 0.8,
    "learning_rate": 0.01,
    "threads": THREADS,
}


def network(name: str, *widths: int, seed: int = 1) -> Any:
    """An untrained network on the fixture's features."""
    import tf_keras as keras

    from components.models.registry import build

    keras.utils.set_random_seed(seed)
    return build(name, FRAMES, CHANNELS, len(LABELS), widths)


def given(folder: Path, name: str, model: Any) -> Path:
    """A Model artifact of `model`."""
    from components.training import loop

    (folder / name).mkdir()
    loop.save(model, folder / name, {"architecture": name}, {})
    return folder / name


def distil(folder: Path, inputs: dict[str, Path], **parameters: Any) -> dict[str, float]:
    """Runs the executor into `folder`; its metrics."""
    from components.distiller.executor import execute

    folder.mkdir(exist_ok=True)
    return execute(inputs, {"model": folder}, DistillerParameters(**{**SHORT, **parameters}))


def load(folder: Path) -> Any:
    import tf_keras as keras

    return keras.models.load_model(folder / "model.h5", compile=False)


def windows() -> Any:
    rng = np.random.default_rng(5)
    return rng.normal(0.0, 1.0, (12, FRAMES, CHANNELS, 1)).astype(np.float32)


@slow
@with_tensorflow
def test_distances_inside_are_those_of_the_papers():
    import tensorflow as tf

    from components.training.losses import (
        Match,
        attention_distance,
        distillation_loss,
        hard_loss,
        hidden_distance,
    )

    rng = np.random.default_rng(4)
    own, its = rng.normal(size=(2, 3, 5, 4))
    units = [
        x.reshape(3, -1) / np.linalg.norm(x.reshape(3, -1), axis=1)[:, None] for x in (own, its)
    ]
    expected = ((units[0] - units[1]) ** 2).sum(1).mean()
    hidden = [tf.constant(x, tf.float32) for x in (own, its)]
    assert float(hidden_distance(*hidden)) == pytest.approx(expected, abs=1e-5)
    assert float(hidden_distance(hidden[0], 7.0 * hidden[0])) == pytest.approx(0.0, abs=1e-6)

    logits = rng.normal(size=(2, 3, 2, 6, 6))
    centred = logits - logits.mean(-1, keepdims=True)
    maps = [tf.nn.softmax(tf.constant(x, tf.float32)) for x in logits]
    expected = ((centred[0] - centred[1]) ** 2).mean()
    assert float(attention_distance(*maps)) == pytest.approx(expected, rel=1e-3)

    # Beside the outputs' own loss, each with its weight.
    labels = tf.constant(np.eye(4)[[0, 1, 2]], tf.float32)
    said, taught = (tf.nn.softmax(tf.constant(rng.normal(size=(3, 4)), tf.float32)) for _ in "ab")

    def teacher(_: object, training: bool) -> Any:
        return [taught, hidden[1], maps[1]]

    matches = [
        Match(weight=3.0, distance=hidden_distance),
        Match(weight=0.5, distance=attention_distance),
    ]
    whole = distillation_loss(teacher, 2.0, 0.5, 0.1, matches)
    plain = distillation_loss(lambda _, training: taught, 2.0, 0.5, 0.1)
    assert float(whole(None, labels, [said, hidden[0], maps[0]])) == pytest.approx(
        float(plain(None, labels, said))
        + 3.0 * float(hidden_distance(*hidden))
        + 0.5 * float(attention_distance(*maps)),
        rel=1e-5,
    )

    # An example counts as much as its label; one between two labels, as much as between them.
    weighted = hard_loss(0.0, [2.0, 0.5, 1.0, 1.0])
    between = tf.constant([[0.5, 0.5, 0.0, 0.0]], tf.float32)
    log = np.log(said[:1].numpy())[0]
    assert float(weighted(None, between, said[:1])) == pytest.approx(
        -1.25 * (log[0] + log[1]) / 2, rel=1e-4
    )


def test_of_the_longer_side_the_last_of_each_part_is_taken():
    assert evenly("ab", "1234") == [("a", "2"), ("b", "4")]
    assert evenly("abc", "12") == [("b", "1"), ("c", "2")]
    assert evenly("abc", "123") == [("a", "1"), ("b", "2"), ("c", "3")]
    assert evenly("abc", "") == []


@slow
@with_tensorflow
def test_everything_behind_the_end_of_a_block_follows_from_it():
    import tf_keras as keras

    from components.distiller.blocks import block_ends, pair_blocks

    for name, widths in (
        ("ds_cnn", (8,)),
        ("shufflenet", (16,)),
        ("keyword_transformer", (16, 32)),
    ):
        model = network(name, *widths)
        ends = block_ends(model)
        said = model(windows(), training=False).numpy()
        for layer in {ends[0], ends[-1]}:
            # Keras refuses a network that depends on more than its input.
            rest = keras.Model(layer.output, model.output)
            inner = keras.Model(model.input, layer.output)(windows(), training=False)
            assert np.allclose(rest(inner, training=False), said, atol=1e-6)
    # The last one's: its positions are added, attention and dense layers each have a shortcut.
    kinds = [type(layer).__name__ for layer in ends]
    norm = "LayerNormalization"
    assert kinds == ["BatchNormalization", "Add", "Reshape", norm, norm, "Dense", norm, norm]
    assert len(pair_blocks(model, model)) == len(ends)


@slow
@with_tensorflow
def test_blocks_and_attention_maps_become_the_teachers(tmp_path: Path):
    from components.distiller.lesson import Lesson
    from components.training.losses import attention_distance, hidden_distance

    both = DistillerParameters(hidden_weight=5.0, attention_weight=5.0)
    teacher = network("keyword_transformer", 32, seed=2)
    for layer in teacher.layers:
        if type(layer).__name__ == "MultiHeadAttention":  # an untrained one looks everywhere
            layer.set_weights([4.0 * w for w in layer.get_weights()])
    features = write_features(tmp_path / "features")
    val = features.centred(features.split("val").codes)[..., None].astype(np.float32) / 32.0
    inputs = {
        "features": features.folder,
        "teacher": given(tmp_path, "teacher", teacher),
        "model": given(tmp_path, "student", network("keyword_transformer", 32)),
    }

    def inside(folder: Path) -> tuple[Any, Any]:
        """What its last block gives, and its attention map."""
        model = load(folder)
        *_, block, maps = Lesson.of(model, [model], both).model(val, training=False)
        return block, maps

    def distances(folder: Path) -> tuple[float, float]:
        (block, maps), (its_block, its_maps) = inside(folder), inside(inputs["teacher"])
        return (
            float(hidden_distance(block, its_block)),
            float(attention_distance(maps, its_maps)),
        )

    distil(
        tmp_path / "out", inputs, epochs=1, examples_per_epoch=1920,
        hidden_weight=5.0, attention_weight=5.0,
    )  # fmt: skip
    # From 1.9 to 0.4, and from 8.0 to 3.0; learning from the outputs alone, both rise.
    before, after = distances(inputs["model"]), distances(tmp_path / "out")
    assert after[0] < 0.5 * before[0]
    assert after[1] < 0.6 * before[1]
    # Nothing of the comparison is left in the student.
    kinds = [[type(x) for x in load(f).layers] for f in (tmp_path / "out", inputs["model"])]
    assert kinds[0] == kinds[1]

    # A narrower student is compared through matrices that are trained with it, and no part of it.
    narrow = network("keyword_transformer", 16)
    lesson = Lesson.of(narrow, [teacher], DistillerParameters(hidden_weight=1.0))
    own = {id(v) for v in narrow.trainable_variables}
    added = [v for v in lesson.model.trainable_variables if id(v) not in own]
    assert added
    assert {tuple(v.shape) for v in added} == {(16, 32)}


@slow
@with_tensorflow
def test_each_generation_is_born_anew_and_taught_by_the_one_before(tmp_path: Path):
    from components.distiller.lesson import Lesson
    from components.training import loop

    features = write_features(tmp_path / "features").folder
    student = network("ds_cnn", 4)
    kernel = student.layers[1].kernel
    kernel.assign(kernel * (np.arange(kernel.shape[-1]) > 0))  # pruned: its first filter is zero
    inputs = {
        "features": features,
        "teacher": given(tmp_path, "teacher", network("ds_cnn", 8, seed=2)),
        "model": given(tmp_path, "student", student),
    }
    lessons: list[tuple[Any, Any, Any]] = []
    of = Lesson.of

    def noted(student: Any, teachers: Any, p: Any) -> Lesson:
        lessons.append((student, teachers, student.get_weights()))
        return of(student, teachers, p)

    with mock.patch.object(Lesson, "of", noted):
        metrics = distil(tmp_path / "born", inputs, epochs=1, generations=2)
    (first, from_outside, given_weights), (second, one, fresh) = lessons
    assert [t.count_params() for t in from_outside] == [load(inputs["teacher"]).count_params()]
    assert one == [first]
    assert first is not second
    assert np.array_equal(given_weights[0], student.get_weights()[0])
    assert not np.allclose(fresh[0], given_weights[0])
    last = load(tmp_path / "born")
    for a, b in zip(last.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert not last.layers[1].kernel.numpy()[..., 0].any()
    assert last.layers[1].kernel.numpy()[..., 1].all()
    accuracies = [metrics[f"generation_{n}_validation_accuracy"] for n in (1, 2)]
    assert metrics["validation_accuracy"] == accuracies[1]

    # Killed in the second generation, it goes on there, to the same bits.
    (tmp_path / "born" / ".checkpoint" / "generation_2.npz").unlink()
    steps: list[str] = []
    epoch = loop._epoch
    with mock.patch.object(loop, "_epoch", lambda *a: steps.append("epoch") or epoch(*a)):
        assert distil(tmp_path / "born", inputs, epochs=1, generations=2) == metrics
    assert len(steps) == 1
    for a, b in zip(load(tmp_path / "born").get_weights(), last.get_weights(), strict=True):
        assert np.array_equal(a, b)


@slow
@with_tensorflow
def test_several_teachers_teach_their_mean_and_agreement_is_counted_with_it(tmp_path: Path):
    from components.distiller.lesson import average
    from components.training.agreement import agreement

    features = write_features(tmp_path / "features")
    inputs = {"features": features.folder, "model": given(tmp_path, "s", network("ds_cnn", 4))}
    for seed, name in enumerate(("teacher", "second_teacher", "third_teacher"), 2):
        inputs[name] = given(tmp_path, name, network("ds_cnn", 8, seed=seed))
    teachers = [load(inputs[n]) for n in ("teacher", "second_teacher", "third_teacher")]
    said = [t(windows(), training=False).numpy() for t in teachers]
    mean = average(teachers)
    assert np.allclose(mean(windows(), training=False), np.mean(said, 0), atol=1e-6)

    metrics = distil(tmp_path / "out", inputs, epochs=1, hard_weight=0.0)
    split = features.split("val")
    codes = features.centred(split.codes[split.view == 0])[..., None].astype(np.float32) / 32.0
    decided = [
        m(codes, training=False).numpy().argmax(1)
        for m in (load(tmp_path / "out"), mean_of(teachers))
    ]
    assert metrics["agreement"] == pytest.approx((decided[0] == decided[1]).mean())
    assert agreement(teachers[0], teachers[0], features) == 1.0

    with pytest.raises(UserError, match="one teacher, and there are 3"):
        distil(tmp_path / "refused", inputs, hidden_weight=1.0)
    assert not list((tmp_path / "refused").iterdir())


def mean_of(teachers: list[Any]) -> Any:
    def mean(x: Any, training: bool) -> Any:
        return sum(t(x, training=training) for t in teachers) / 3

    return mean


@slow
@with_tensorflow
def test_a_float_teacher_is_followed_by_a_student_with_int8_rounding(tmp_path: Path):
    import tf_keras as keras
    from tensorflow_model_optimization.quantization.keras import quantize_scope

    from components.quantizer.component import QuantizerParameters
    from components.quantizer.executor import execute

    # It names the band of channels that is loudest; the labels have no weight.
    entry = keras.layers.Input((FRAMES, CHANNELS, 1))
    bands = keras.layers.Flatten()(keras.layers.AveragePooling2D((FRAMES, 4))(entry))
    naming = keras.layers.Dense(len(LABELS), activation="softmax", use_bias=False)
    teacher = keras.Model(entry, naming(bands))
    naming.set_weights([8.0 * np.eye(len(LABELS))])
    features = write_features(tmp_path / "features")
    inputs = {
        "features": features.folder,
        "teacher": given(tmp_path, "teacher", teacher),
        "model": given(tmp_path, "student", network("streaming_resnet", 4)),
    }
    (tmp_path / "out").mkdir()
    wished = {**SHORT, "examples_per_epoch": 1920, "hard_weight": 0.0}
    metrics = execute(
        inputs, {"model": tmp_path / "out"}, QuantizerParameters(method="aware", epochs=5, **wished)
    )
    assert metrics["agreement"] > 0.6  # by chance one in four
    with quantize_scope():
        kinds = {type(layer).__name__ for layer in load(tmp_path / "out").layers}
    assert {"QuantizeLayer", "QuantizeWrapperV2"} <= kinds


@slow
@pytest.mark.parametrize(
    ("student", "teacher", "wish", "said"),
    [
        (("ds_cnn", 16), ("ds_cnn", 16), "attention_weight", "the student has no attention layer"),
        (
            ("keyword_transformer", 16),
            ("ds_cnn", 16),
            "attention_weight",
            "the teacher has no attention layer",
        ),
        (
            ("keyword_transformer", 16),
            ("keyword_transformer", 48),
            "attention_weight",
            "student has 1 heads over 7 steps, the teacher's 3 over 7",
        ),
        (("tc_resnet", 16), ("ds_cnn", 16), "hidden_weight", "no block of the student .*8x1"),
    ],
)
@with_tensorflow
def test_networks_that_do_not_fit_are_refused_before_training(student, teacher, wish, said):
    from components.distiller.lesson import Lesson

    p = DistillerParameters(**{wish: 1.0})
    with pytest.raises(UserError, match=f"^Distiller.{wish}: .*{said}"):
        Lesson.of(network(*student), [network(*teacher)], p)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["Distiller.attention_weight=1", "Trainer.architecture=ds_cnn"],
            r"Distiller.attention_weight: ds_cnn \(Trainer\) has no attention layer: set it to 0",
        ),
        (
            ["Distiller.attention_weight=1", "Trainer.architecture=keyword_transformer"],
            r"streaming_resnet \(TeacherTrainer\) has no attention layer",
        ),
        (
            [
                "Distiller.attention_weight=1",
                "Trainer.architecture=keyword_transformer",
                "TeacherTrainer.architecture=keyword_transformer",
            ],
            r"Trainer has \[1, 2\] attention heads and TeacherTrainer \[2, 3\]",
        ),
        (
            ["Distiller.hidden_weight=1", "TeacherTrainer.members=3"],
            "TeacherTrainer trains 3: set them to 0, or TeacherTrainer.members to 1",
        ),
    ],
)
def test_what_the_recipe_cannot_give_is_refused_before_anything_runs(tmp_path, settings, said):
    recipe = keyword_spotting.recipe(tmp_path, tmp_path, ())
    apply_settings(recipe, settings)
    with pytest.raises(UserError, match=said):
        demand_fit(recipe)


def test_what_fits_is_let_through(tmp_path):
    recipe = keyword_spotting.recipe(tmp_path, tmp_path, ())
    apply_settings(recipe, ["Distiller.hidden_weight=1"])
    demand_fit(recipe)
    apply_settings(
        recipe,
        [
            "Distiller.attention_weight=1",
            "Trainer.architecture=keyword_transformer",
            "Trainer.widths=32,48",
            "TeacherTrainer.architecture=keyword_transformer",
            "TeacherTrainer.widths=32,32,48,48",
        ],
    )
    demand_fit(recipe)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"hard_weight": 1.1},
        {"hidden_weight": -1.0},
        {"attention_weight": -0.1},
        {"generations": 0},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        DistillerParameters(**wrong)

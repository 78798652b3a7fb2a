"""Teaching new words: where the network begins, what keeps old words, and what forgetting looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import read_gates, read_json
from components.base import UserError
from components.training.data import FeatureSet, Split, as_inputs
from components.word_transfer.component import WordTransferParameters
from components.word_transfer.retention import decide, measure
from components.word_transfer.vocabulary import Vocabulary, _rehearsed
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from pipeline.command_line import parse
from pipeline.commands.recipe_arguments import make_recipe
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features

slow = pytest.mark.slow
BASE = LABELS[:3]
WORDS = Vocabulary.of(BASE, LABELS)


def test_old_and_new_are_told_apart_by_name():
    found = Vocabulary.of((SILENCE, UNKNOWN, "yes"), (SILENCE, UNKNOWN, "down", "no", "yes"))
    assert (found.old, found.new) == ((0, 1, 4), (2, 3))
    with pytest.raises(UserError, match="no word that the base does not know"):
        Vocabulary.of(LABELS, LABELS)
    with pytest.raises(UserError, match="the recordings have no left, up, which the base knows"):
        Vocabulary.of((*BASE, "left", "up"), LABELS)


@pytest.mark.parametrize(("replay", "old"), [(0.5, 60), (0.75, 60), (0.0, 0)])
def test_old_words_have_their_share_of_the_rows(replay, old):
    label = np.repeat([0, 1, 2, 3], [5, 7, 60, 4]).astype(np.int32)
    split = Split(codes=np.zeros((76, 1, 1), np.int8), label=label, clip=label, view=label)
    counts = np.bincount(label[_rehearsed(split, WORDS, replay)], minlength=4).tolist()
    assert counts[:3] == [5, 7, old]
    assert counts[3] == {0.5: 60, 0.75: 20, 0.0: 4}[replay]
    with pytest.raises(UserError, match="no recording of a new word"):
        _rehearsed(Split(**{**vars(split), "label": label % 3}), WORDS, replay)


def test_old_words_are_compared_clip_by_clip_and_new_ones_counted_as_recorded(tmp_path):
    features = write_features(tmp_path)
    truth = {name: features.split(name).label.astype(np.int64) for name in ("val", "test")}
    before = {name: np.minimum(labels, 2) for name, labels in truth.items()}
    after = {name: labels.copy() for name, labels in truth.items()}
    perfect = measure(features, WORDS, before, after)
    assert perfect["old_words"]["drop"] == 0.0
    assert perfect["new_words"] == {"recall": 1.0, "n": 6, "per_word": {"yes": 1.0}}
    assert all(gate.passed for gate in decide(perfect, WordTransferParameters()))

    after["test"][truth["test"] == 2] = 3  # every "no" is now heard as "yes"
    after["test"][truth["test"] == 3] = 1
    worse = measure(features, WORDS, before, after)
    clips = 3 * (8 + 6)
    assert worse["old_words"]["clips"] == clips
    assert worse["old_words"]["drop"] == pytest.approx(6 / clips)
    assert worse["new_words"]["recall"] == 0.0
    gates = decide(worse, WordTransferParameters())
    assert [(g.name, g.passed) for g in gates] == [
        ("old_words_drop", False),
        ("new_words_recall", False),
    ]


def network(labels: int, seed: int = 1) -> Any:
    import tf_keras as keras

    from components.models.registry import build

    keras.utils.set_random_seed(seed)
    return build("ds_cnn", FRAMES, CHANNELS, labels, (6,))


def windows(rows: int = 8) -> Any:
    rng = np.random.default_rng(5)
    return rng.normal(0.0, 1.0, (rows, FRAMES, CHANNELS, 1)).astype(np.float32)


@slow
@with_tensorflow
def test_the_widened_network_begins_as_its_base_and_what_it_remembers_is_as_in_the_papers():
    import tensorflow as tf

    from components.word_transfer.memory import among, elastic, importance_of, with_memory
    from components.word_transfer.network import freeze_backbone, thaw, widen

    base = network(len(BASE))
    model = widen(base, WORDS, {3: windows(3)})
    said, old = model(windows(), training=False), base(windows(), training=False)
    assert np.allclose(among(said, WORDS.old), old, atol=1e-5)
    kernel, bias = model.layers[-1].get_weights()
    assert kernel.shape == (6, 4)
    assert bias[3] == pytest.approx(bias[:3].mean())

    # The importance of a bias is the mean square of (true - said); a new word's is none.
    labels = np.asarray([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
    importance = importance_of(model, windows(), labels, WORDS.old)
    assert len(importance) == len(model.trainable_variables)
    expected = ((np.eye(3)[labels] - old.numpy()) ** 2).mean(0)
    assert np.allclose(importance[-1], [*expected, 0.0], atol=1e-4)

    penalty = elastic(model, importance, 6.0)
    assert float(penalty()) == 0.0
    model.layers[-1].bias.assign_add([0.5, 0.0, 0.0, 9.0])
    assert float(penalty()) == pytest.approx(0.5 * 6.0 * expected[0] * 0.25, rel=1e-3)

    # The old model's part: cross-entropy at the temperature, times its square, among old labels.
    def loss(*_: object) -> Any:
        return tf.constant(1.0)

    whole = with_memory(loss, base, WORDS.old, 2.0, 3.0, [lambda: tf.constant(10.0)])
    probabilities = np.asarray([[0.1, 0.2, 0.3, 0.4]], np.float32)
    own = (probabilities[0, :3] / 0.6) ** (1 / 3)
    its = old.numpy()[0] ** (1 / 3)
    entropy = -(its / its.sum() * np.log(own / own.sum())).sum()
    found = float(whole(windows()[:1], None, tf.constant(probabilities)))
    assert found == pytest.approx(11.0 + 2.0 * 9.0 * entropy, rel=1e-3)

    freeze_backbone(model)
    assert [v.shape.rank for v in model.trainable_variables] == [2, 1]
    before = [w.copy() for w in model.layers[1].get_weights()]
    model(windows(), training=True)
    thaw(model)
    assert all(
        np.array_equal(a, b) for a, b in zip(before, model.layers[1].get_weights(), strict=True)
    )
    assert len(model.trainable_variables) > 2


@slow
@with_tensorflow
def test_a_base_without_a_dense_classifier_is_refused():
    from components.models.registry import build
    from components.word_transfer.network import widen

    base = build("squeezenet", FRAMES, CHANNELS, 3, (4,))
    with pytest.raises(UserError, match="ends in Softmax, and WordTransfer widens a dense"):
        widen(base, WORDS, {3: windows(3)})


SHORT: dict[str, Any] = {
    "examples_per_epoch": 960,
    "batch": 32,
    "ema": 0.8,
    "learning_rate": 0.01,
    "threads": THREADS,
}


def without_new_words(features: FeatureSet, folder: Path) -> FeatureSet:
    """The same features before anybody had recorded the last label."""
    folder.mkdir()
    for name in ("train", "val", "test"):
        split = features.split(name)
        kept = split.label < len(BASE)
        np.save(folder / f"{name}.codes.npy", split.codes[kept])
        index = {key: getattr(split, key)[kept] for key in ("label", "clip", "view")}
        np.savez(folder / f"{name}.index.npz", **index)
    description = {**features.description, "labels": list(BASE)}
    (folder / "features.json").write_text(json.dumps(description))
    return FeatureSet.open(folder)


@slow
@with_tensorflow
def test_with_memory_it_learns_the_new_word_and_keeps_the_old_and_without_it_forgets(
    tmp_path: Path,
):
    import tf_keras as keras

    from components.trainer.component import TrainerParameters
    from components.trainer.executor import execute as train
    from components.word_transfer.executor import execute

    features = write_features(tmp_path / "features")
    old = without_new_words(features, tmp_path / "old")
    base = tmp_path / "base"
    base.mkdir()
    shape: dict[str, Any] = {"architecture": "ds_cnn", "widths": (6,)}
    train({"features": old.folder}, {"model": base}, TrainerParameters(**SHORT, **shape, epochs=3))
    assert read_json(base / "model.json")["labels"] == list(BASE)

    def transfer(name: str, **parameters: Any) -> dict[str, float]:
        outputs = {key: tmp_path / name / key for key in ("model", "retention")}
        for folder in outputs.values():
            folder.mkdir(parents=True)
        wished = WordTransferParameters(**{**SHORT, "epochs": 2, **parameters})
        return execute({"features": features.folder, "base": base}, outputs, wished)

    def sure_of_old_word(name: str) -> float:
        """How probable the old keyword is to it, where it is said, mean."""
        model = keras.models.load_model(tmp_path / name / "model" / "model.h5", compile=False)
        val = features.split("val")
        said = model(as_inputs(features.centred(val.codes[val.label == 2])), training=False)
        return float(said.numpy()[:, 2].mean())

    kept = transfer("kept", elasticity=1.0, fisher_rows=16)
    assert read_json(tmp_path / "kept" / "model" / "model.json")["labels"] == list(LABELS)
    gates = read_gates(tmp_path / "kept" / "retention")
    assert [gate.name for gate in gates] == ["old_words_drop", "new_words_recall"]
    forgot = transfer("forgot", replay=0.0, old_model_weight=0.0)
    assert min(kept["new_words_recall"], forgot["new_words_recall"]) > 0.8
    assert sure_of_old_word("forgot") < sure_of_old_word("kept") - 0.05

    # Behind a frozen backbone the classifier learns, and nothing else moves.
    transfer("head", trains="head")
    known, taught, moved = (
        keras.models.load_model(folder / "model.h5", compile=False)
        for folder in (base, tmp_path / "head" / "model", tmp_path / "kept" / "model")
    )
    first = np.concatenate([w.ravel() for layer in known.layers[:-1] for w in layer.get_weights()])
    for model, stays in ((taught, True), (moved, False)):
        later = [w.ravel() for layer in model.layers[:-1] for w in layer.get_weights()]
        assert np.allclose(np.concatenate(later), first, rtol=1e-5, atol=1e-6) == stays
    classifier = taught.layers[-1].get_weights()[0][:, list(WORDS.old)]
    assert not np.allclose(classifier, known.layers[-1].get_weights()[0], atol=0.01)
    assert all(layer.trainable for layer in taught.layers)


def made(root: Path, *arguments: str) -> list[str]:
    found = parse(["pipeline", "run", "word_transfer", "--root", str(root), *arguments])
    data = Path(found.data) if found.data else None
    return [component.id for component in make_recipe(found, root, data).components]


def test_the_recipe_goes_on_from_a_model_and_says_so_where_there_is_none(tmp_path):
    data = ("--data", str(tmp_path))
    with pytest.raises(
        UserError, match="run keyword_spotting at this --root first, or give --base"
    ):
        made(tmp_path, *data)
    with pytest.raises(UserError, match=r"--base .*nowhere: neither the folder of a trained model"):
        made(tmp_path, *data, "--base", str(tmp_path / "nowhere"))
    (tmp_path / "model.h5").write_text("")
    with pytest.raises(UserError, match="word_transfer learns from recordings: give --data"):
        made(tmp_path, "--base", str(tmp_path))
    assert made(tmp_path, *data, "--base", str(tmp_path))[4:6] == ["WordTransfer", "Quantizer"]
    other = parse(["pipeline", "run", "keyword_spotting", "--base", str(tmp_path)])
    with pytest.raises(UserError, match="--base: keyword_spotting starts from nothing"):
        make_recipe(other, tmp_path, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replay": 1.0},
        {"old_model_weight": -1.0},
        {"elasticity": -1.0},
        {"temperature": 0.0},
        {"fisher_rows": 0},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        WordTransferParameters(**wrong)

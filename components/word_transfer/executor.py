"""Executor of WordTransfer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from components.artifacts import read_json, write_gates, write_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.models.macs import count_macs
from components.training import loop
from components.training.data import FeatureSet, as_inputs
from components.training.losses import hard_loss
from components.word_transfer import retention
from components.word_transfer.component import WordTransferParameters
from components.word_transfer.memory import elastic, importance_of, with_memory
from components.word_transfer.network import freeze_backbone, thaw, widen
from components.word_transfer.vocabulary import Rehearsed, Vocabulary

_BATCH = 512


def execute(inputs: Inputs, outputs: Outputs, parameters: WordTransferParameters) -> Metrics:
    """Widens the base, trains it on old words and new ones, and measures what that did to either."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    described = read_json(inputs["base"] / "model.json")
    if "labels" not in described:
        raise UserError(f"{inputs['base']}: does not say which labels it has: train the base again")
    vocabulary = Vocabulary.of(described["labels"], features.labels)
    base = keras.models.load_model(inputs["base"] / "model.h5", compile=False)
    if tuple(base.input_shape[1:]) != (features.frames, features.channels, features.depth):
        raise UserError(
            f"the base takes {base.input_shape[1:]}, and the features are windows of {features.frames} "
            f"frames x {features.channels}: give Transform the parameters that the base was trained with"
        )
    before = _decisions(base, features, np.asarray(vocabulary.old))
    model = widen(base, vocabulary, _examples(features, vocabulary))
    old_model = keras.models.clone_model(base)
    old_model.set_weights(base.get_weights())
    if parameters.trains == "head":
        freeze_backbone(model)
    penalties = []
    if parameters.elasticity:
        importance = importance_of(
            model, *_old_examples(features, vocabulary, parameters), vocabulary.old
        )
        penalties.append(elastic(model, importance, parameters.elasticity))
    history = loop.fit(
        model,
        Rehearsed.from_features(features, vocabulary, parameters.replay),
        parameters.schedule(),
        parameters.augmentation(),
        with_memory(
            hard_loss(parameters.label_smoothing),
            old_model,
            vocabulary.old,
            parameters.old_model_weight,
            parameters.temperature,
            penalties,
        ),
        outputs["model"],
    )
    thaw(model)
    description = {
        **described,
        "labels": list(features.labels),
        "params": int(model.count_params()),
        "macs": count_macs(model),
    }
    loop.save(model, outputs["model"], description, history)
    after = _decisions(model, features, np.arange(len(features.labels)))
    figures = retention.measure(features, vocabulary, before, after)
    write_json(outputs["retention"] / "retention.json", figures)
    write_gates(outputs["retention"], retention.decide(figures, parameters))
    return loop.metrics_of(history) | {
        "old_words_drop": figures["old_words"]["drop"],
        "old_words_drop_upper_95": figures["old_words"]["drop_upper_95"],
        "new_words_recall": figures["new_words"]["recall"],
    }


def _examples(features: FeatureSet, vocabulary: Vocabulary) -> dict[int, npt.NDArray[np.float32]]:
    """Inputs of the training recordings of each new word, by its place."""
    train = features.split("train")
    found = {}
    for place in vocabulary.new:
        rows = np.flatnonzero(train.label == place)
        if not len(rows):
            raise UserError(
                f"the training split has no recording of {vocabulary.labels[place]}: add some, or change "
                "the lists"
            )
        found[place] = as_inputs(features.centred(np.asarray(train.codes[rows])))
    return found


def _old_examples(
    features: FeatureSet, vocabulary: Vocabulary, p: WordTransferParameters
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    train = features.split("train")
    rows = np.flatnonzero(np.isin(train.label, vocabulary.old))
    rows = np.sort(np.random.default_rng(p.seed).permutation(rows)[: p.fisher_rows])
    return as_inputs(features.centred(np.asarray(train.codes[rows]))), train.label[rows]


def _decisions(
    model: Any, features: FeatureSet, places: npt.NDArray[np.int64]
) -> retention.Decisions:
    """What `model` decides on the rows of val and test; `places` of its outputs among all labels."""
    said = {}
    for name in ("val", "test"):
        codes = features.centred(np.asarray(features.split(name).codes))
        inputs = as_inputs(codes)
        parts = [
            model(inputs[i : i + _BATCH], training=False).numpy().argmax(1)
            for i in range(0, len(inputs), _BATCH)
        ]
        said[name] = places[np.concatenate(parts)]
    return said

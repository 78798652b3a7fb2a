"""What a transfer cost the old words and gave the new ones, and the gates on both."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import Gate
from components.evaluator.paired import compare
from components.training.data import FeatureSet
from components.word_transfer.component import WordTransferParameters
from components.word_transfer.vocabulary import Vocabulary

Decisions = dict[str, npt.NDArray[np.int64]]


def measure(
    features: FeatureSet, vocabulary: Vocabulary, before: Decisions, after: Decisions
) -> dict[str, Any]:
    """The content of ``retention.json``.

    Args:
        features: with the splits val and test.
        vocabulary: the labels.
        before: of each split's rows, what the base decided, as places in ``vocabulary.labels``.
        after: likewise the new model.

    Returns:
        ``old_words``: a `components.evaluator.paired.PairedComparison` of base and new model on the old
        labels' clips of both splits and their views; ``new_words``: {"recall", "n", "per_word"} on the
        test clips as recorded.
    """
    splits = {name: features.split(name) for name in ("val", "test")}
    old = {name: np.isin(split.label, vocabulary.old) for name, split in splits.items()}
    paired = compare(
        np.concatenate([s.label[old[n]].astype(np.int64) for n, s in splits.items()]),
        np.concatenate([before[n][old[n]] for n in splits]),
        np.concatenate([after[n][old[n]] for n in splits]),
        np.concatenate([s.clip[old[n]] + 10**8 * i for i, (n, s) in enumerate(splits.items())]),
    )
    test = splits["test"]
    recorded = test.view == 0
    per_word = {
        vocabulary.labels[place]: _share(after["test"][recorded & (test.label == place)] == place)
        for place in vocabulary.new
    }
    right = after["test"] == test.label
    new = recorded & np.isin(test.label, vocabulary.new)
    return {
        "old_words": dataclasses.asdict(paired),
        "new_words": {"recall": _share(right[new]), "n": int(new.sum()), "per_word": per_word},
    }


def decide(retention: dict[str, Any], p: WordTransferParameters) -> list[Gate]:
    """The gates, from the figures of `measure`."""
    drop, recall = retention["old_words"]["drop_upper_95"], retention["new_words"]["recall"]
    return [
        Gate(
            name="old_words_drop",
            value=round(drop, 5),
            limit=p.drop_limit,
            passed=drop <= p.drop_limit,
            advice="raise WordTransfer.replay or old_model_weight, or train the head alone "
            "(WordTransfer.trains=head)",
        ),
        Gate(
            name="new_words_recall",
            value=round(recall, 5),
            limit=p.new_word_floor,
            passed=recall >= p.new_word_floor,
            advice="add recordings of the new words by other people, lower WordTransfer.replay, or "
            "train every layer (WordTransfer.trains=all)",
        ),
    ]


def _share(right: npt.NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else 0.0

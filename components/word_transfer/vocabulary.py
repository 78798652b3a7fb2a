"""Old words and new ones: which outputs and which rows are whose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from components.base import UserError
from components.training.data import FeatureSet, Split
from edge_agent.bundle.manifest import SILENCE, UNKNOWN


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The labels of a transfer.

    Attributes:
        labels: all, in the order of the new model's outputs.
        old: places in `labels` of the base's labels, in the order of its outputs.
        new: places of the others.
    """

    labels: tuple[str, ...]
    old: tuple[int, ...]
    new: tuple[int, ...]

    @classmethod
    def of(cls, base: Sequence[str], labels: tuple[str, ...]) -> Vocabulary:
        """The vocabulary of a base with the labels `base` that learns `labels`.

        Raises:
            UserError: if the recordings lack a label of the base, or have no other.
        """
        lost = [label for label in base if label not in labels]
        if lost:
            raise UserError(
                f"the recordings have no {', '.join(lost)}, which the base knows: give the folder that it "
                "was trained on, with the new words beside the old ones"
            )
        new = tuple(place for place, label in enumerate(labels) if label not in base)
        if not new:
            raise UserError(
                "the recordings have no word that the base does not know: add a folder of each new word"
            )
        return cls(labels=labels, old=tuple(labels.index(label) for label in base), new=new)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rehearsed(FeatureSet):
    """Features whose training rows show the old keywords at a given share, and each new word often.

    Attributes:
        vocabulary: which are which.
        replay: the old keywords' share of the keyword rows, 0 to below 1.
    """

    vocabulary: Vocabulary
    replay: float

    @classmethod
    def from_features(
        cls, features: FeatureSet, vocabulary: Vocabulary, replay: float
    ) -> Rehearsed:
        """`features`, rehearsed."""
        fields: dict[str, Any] = {
            field.name: getattr(features, field.name) for field in dataclasses.fields(FeatureSet)
        }
        return cls(**fields, vocabulary=vocabulary, replay=replay)

    def split(self, name: str) -> Split:
        """The rows of the split; those of training as often as they are to be drawn."""
        split = super().split(name)
        if name != "train":
            return split
        rows = _rehearsed(split, self.vocabulary, self.replay)
        return Split(
            codes=np.asarray(split.codes[rows]),
            label=split.label[rows],
            clip=split.clip[rows],
            view=split.view[rows],
        )


def _rehearsed(split: Split, vocabulary: Vocabulary, replay: float) -> Any:
    """Row numbers, those of new words repeated, in order."""
    is_new = np.isin(split.label, vocabulary.new)
    others = [vocabulary.labels.index(label) for label in (UNKNOWN, SILENCE)]
    is_old_word = ~is_new & ~np.isin(split.label, others)
    new, old = np.flatnonzero(is_new), np.flatnonzero(is_old_word)
    if not len(new):
        raise UserError(
            "the training split has no recording of a new word: add some, or change the lists"
        )
    rest = np.flatnonzero(~is_new & ~is_old_word)
    if replay == 0.0:
        return np.concatenate([new, rest])
    times = max(1, round(len(old) * (1.0 - replay) / (replay * len(new))))
    return np.concatenate([np.tile(new, times), old, rest])

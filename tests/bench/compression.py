"""Parts of the main recipe, run at a root that is kept: what is the same is made once for all benchmarks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.artifacts import RECORDINGS
from components.base import Channel, Component
from components.evaluator.component import EvaluatorParameters
from components.evaluator.paired import PairedComparison, compare
from components.evaluator.scoring import Score, clip_probabilities
from components.example_gen.component import ExampleGen
from components.training.data import FeatureSet
from components.transform.component import Transform
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from pipeline.root_lock import hold
from pipeline.runner import RunResult, run_recipe
from pipeline.ui.run_view import RunView
from tests.bench.table import TOP, data_folder

Numbers = npt.NDArray[np.int64]

_SPLITS = ("val", "test")


def sources() -> tuple[ExampleGen, Transform]:
    """The steps that make features of the recordings at hand."""
    recordings = Channel(RECORDINGS, path=data_folder("speech_commands_v2_subset"))
    examples = ExampleGen(recordings=recordings)
    return examples, Transform(examples=examples.outputs["examples"])


def run(name: str, components: Iterable[Component]) -> RunResult:
    """Runs the recipe of `components`."""
    root = TOP / "var" / "bench" / "compression"
    root.mkdir(parents=True, exist_ok=True)
    store = LineageStore.at(root)
    try:
        with RunView() as view, hold(root) as lock:
            return run_recipe(Recipe(name, tuple(components)), root, store, view, lock)
    finally:
        store.close()


def paired(features: Path, first: Score, second: Score) -> PairedComparison:
    """`second` against `first` on validation and test clips and their fixed augmentations."""
    opened = FeatureSet.open(features)
    truth: list[Numbers] = []
    clips: list[Numbers] = []
    said: tuple[list[Numbers], list[Numbers]] = ([], [])
    for number, name in enumerate(_SPLITS):
        split = opened.split(name)
        truth.append(split.label.astype(np.int64))
        clips.append(split.clip.astype(np.int64) + number * 10**8)
        for place, score in enumerate((first, second)):
            said[place].append(_decisions(score, opened, np.asarray(split.codes)))
    one, two = (np.concatenate(parts) for parts in said)
    return compare(np.concatenate(truth), one, two, np.concatenate(clips))


def accuracy(features: Path, score: Score) -> float:
    """Share of test clips, as recorded, that `score` decides rightly."""
    opened = FeatureSet.open(features)
    split = opened.split("test")
    first = split.view == 0
    decided = _decisions(score, opened, np.asarray(split.codes[first]))
    return float((decided == split.label[first]).mean())


def _decisions(score: Score, features: FeatureSet, codes: npt.NDArray[np.int8]) -> Numbers:
    policy = EvaluatorParameters()
    offsets = [hop * policy.hop_frames for hop in policy.clip_hops]
    return clip_probabilities(score, features, codes, offsets).argmax(1).astype(np.int64)

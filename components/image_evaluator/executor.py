"""Executor of the ImageEvaluator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import write_gates, write_json
from components.base import Inputs, Metrics, Outputs, Progress
from components.evaluator import gates, summary
from components.evaluator.component import EvaluatorParameters
from components.evaluator.paired import compare
from components.evaluator.scoring import Probabilities, float_scorer, int8_scorer
from components.image_evaluator.component import ImageEvaluatorParameters
from components.picture_records import read_pictures
from components.records import shard_paths
from components.training.data import FeatureSet, Split
from edge_agent.bundle import archive
from edge_agent.pictures.classifier import PictureClassifier
from edge_agent.sources.picture import decode_picture


def execute(inputs: Inputs, outputs: Outputs, parameters: ImageEvaluatorParameters) -> Metrics:
    """Scores validation and test pictures with all models, and decides the gates."""
    features = FeatureSet.open(inputs["features"])
    progress = Progress(4, "parts")
    scored = {}
    for number, name in enumerate(("val", "test"), 1):
        scored[name] = _Scored.of(features, name, inputs)
        progress.at(number, f"{name} scored")
    test, labels = scored["test"], features.labels
    first = test.split.view == 0
    truth, decided = test.truth[first], test.int8.argmax(1)[first]
    counts = summary.confusion(truth, decided, len(labels))
    described = features.description["splits"]["test"]
    paired = compare(
        np.concatenate([s.truth for s in scored.values()]),
        np.concatenate([s.float_.argmax(1) for s in scored.values()]),
        np.concatenate([s.int8.argmax(1) for s in scored.values()]),
        np.concatenate([scored["val"].split.clip, test.split.clip + 10**8]).astype(np.int64),
    )
    progress.at(3, "paired comparison done")
    last = inputs.get("last_release")
    int8, float_ = test.recorded_accuracy(test.int8), test.recorded_accuracy(test.float_)
    evaluation: dict[str, Any] = {
        "int8_accuracy": int8,
        "float_accuracy": float_,
        "teacher_accuracy": _share(test.teacher.argmax(1) == truth),
        "teacher_agreement": _share(test.teacher.argmax(1) == decided),
        "int8_single_accuracy": int8,
        "float_single_accuracy": float_,
        "val_int8_accuracy": scored["val"].recorded_accuracy(scored["val"].int8),
        "n": len(truth),
        "per_label": summary.per_label(counts, labels),
        "per_speaker": summary.per_speaker(decided == truth, described["speakers"]),
        "confusion": {"labels": list(labels), "counts": counts.tolist()},
        "paired": dataclasses.asdict(paired),
        "score_mean": summary.score_range(test.int8[first].max(1), described["speakers"]),
        "worst": summary.worst_mistakes(
            truth, test.int8[first], labels, described, parameters.worst
        ),
        "baselines": {
            "majority": float(counts.sum(1).max() / counts.sum()),
            "nearest_mean": nearest_mean(features.split("train"), test.split, len(labels)),
            "last_release": accuracy_of_release(last, inputs["examples"]) if last else None,
        },
    }
    limits = EvaluatorParameters(**dataclasses.asdict(parameters))
    write_json(outputs["evaluation"] / "evaluation.json", evaluation)
    write_gates(outputs["evaluation"], gates.decide(evaluation, paired, limits))
    progress.at(4)
    return {
        key: evaluation[key] for key in ("int8_accuracy", "float_accuracy", "teacher_accuracy")
    } | {"drop_upper_95": paired.drop_upper_95, "agreement": paired.agreement}


def nearest_mean(train: Split, test: Split, labels: int) -> float:
    """Accuracy on pictures as found of the label whose mean training picture is nearest."""
    known, asked = (
        s.codes[s.view == 0].reshape(int((s.view == 0).sum()), -1) for s in (train, test)
    )
    of = train.label[train.view == 0]
    means = np.stack([known[of == label].astype(np.float64).mean(0) for label in range(labels)])
    # The squared distance but for the picture's own square, which is the same for all labels.
    said = ((means**2).sum(1) - 2.0 * asked.astype(np.float64) @ means.T).argmin(1)
    return _share(said == test.label[test.view == 0])


def accuracy_of_release(bundle_folder: Path, examples: Path) -> float:
    """Share of test pictures that the bundle in `bundle_folder` decides right.

    A picture of a label that it does not have is decided wrong.
    """
    bundle = archive.read(bundle_folder / "candidate.bundle")
    classifier = PictureClassifier(bundle.manifest, bundle.files, runtime="litert")
    right = [
        classifier.labels[
            int(classifier.classify(decode_picture(picture.image, picture.path)).argmax())
        ]
        == picture.label
        for path in shard_paths(examples, "test")
        for picture in read_pictures(path)
    ]
    return sum(right) / len(right)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scored:
    """A split with the probabilities of its rows; the teacher's only of the pictures as found."""

    split: Split
    truth: npt.NDArray[np.int64]
    int8: Probabilities
    float_: Probabilities
    teacher: Probabilities

    @classmethod
    def of(cls, features: FeatureSet, name: str, inputs: Inputs) -> _Scored:
        split = features.split(name)
        codes = np.asarray(split.codes)
        return cls(
            split=split,
            truth=split.label.astype(np.int64),
            int8=int8_scorer((inputs["int8_model"] / "model.tflite").read_bytes())(codes),
            float_=float_scorer(inputs["float_model"])(codes),
            teacher=float_scorer(inputs["teacher"])(codes[split.view == 0]),
        )

    def recorded_accuracy(self, probabilities: Probabilities) -> float:
        """Accuracy on the pictures as found."""
        first = self.split.view == 0
        return _share(probabilities.argmax(1)[first] == self.truth[first])


def _share(right: npt.NDArray[np.bool_]) -> float:
    return float(right.mean())

"""Decisions counted: by label, by speaker, and who was taken for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def confusion(truth: Labels, said: Labels, count: int) -> npt.NDArray[np.int64]:
    """Counts, shape (count, count): rows are the truth, columns what was said."""
    return np.bincount(truth * count + said, minlength=count * count).reshape(count, count)


def per_label(counts: npt.NDArray[np.int64], labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Recall, precision and number of clips of each label."""
    right, truth, said = counts.diagonal(), counts.sum(1), counts.sum(0)
    return {
        label: {
            "recall": float(right[i] / truth[i]) if truth[i] else 0.0,
            "precision": float(right[i] / said[i]) if said[i] else 0.0,
            "n": int(truth[i]),
        }
        for i, label in enumerate(labels)
    }


def per_speaker(right: npt.NDArray[np.bool_], speakers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Accuracy and number of clips of each speaker; clips that nobody speaks are left out."""
    found: dict[str, list[bool]] = {}
    for speaker, correct in zip(speakers, right, strict=True):
        if speaker:
            found.setdefault(speaker, []).append(bool(correct))
    return {s: {"accuracy": sum(v) / len(v), "n": len(v)} for s, v in sorted(found.items())}


def score_range(top: npt.NDArray[np.float32], speakers: Sequence[str]) -> list[float]:
    """Lowest and highest mean top probability of any speaker (clips without one count as one)."""
    by_speaker: dict[str, list[float]] = {}
    for speaker, probability in zip(speakers, top, strict=True):
        by_speaker.setdefault(speaker, []).append(float(probability))
    means = [sum(v) / len(v) for v in by_speaker.values()]
    return [min(means), max(means)]


def worst_mistakes(
    truth: Labels,
    probabilities: npt.NDArray[np.float32],
    labels: Sequence[str],
    clips: Mapping[str, Sequence[str]],
    most: int,
) -> list[dict[str, Any]]:
    """The mistakes that the model was surest of; `clips` has the lists ``paths`` and ``digests``."""
    said = probabilities.argmax(1)
    wrong = np.flatnonzero(said != truth)
    sure = probabilities[wrong, said[wrong]]
    order = wrong[np.argsort(-sure, kind="stable")][:most]
    return [
        {
            "path": clips["paths"][i],
            "digest": clips["digests"][i],
            "truth": labels[truth[i]],
            "said": labels[said[i]],
            "probability": round(float(probabilities[i, said[i]]), 4),
        }
        for i in order
    ]

"""How well a bundle does on a folder of recordings, on the device's own path.

The folder has Speech Commands' layout, ``label/file.wav``. Folders that the bundle has no label for
count as `_unknown_`; `_background_noise_` (long recordings, not clips) is left out unless a list
names its files. Each recording is made one clip: mean of the channels, resampled, trimmed or padded
around its middle to the clip length of the bundle's window
(`edge_agent.keyword.classifier.clip_samples`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edge_agent.bundle.archive import Bundle
from edge_agent.bundle.manifest import UNKNOWN
from edge_agent.features.waveform import conform
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.early_exit import Leaving
from edge_agent.keyword.gate import Computation
from edge_agent.keyword.head import Head
from edge_agent.runtime import Runtime
from edge_agent.sources.wav import read_wav

BACKGROUND = "_background_noise_"


class EvaluationError(Exception):
    """The recordings cannot be scored; the message names the file and the next step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One recording, and the folder it lies in."""

    path: Path
    folder: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelScore:
    """How one label did.

    Attributes:
        recall: share of its clips that were said to be it; 0 without clips.
        precision: share of the clips said to be it that were; 0 if none was.
        n: its clips.
    """

    recall: float
    precision: float
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """How a bundle did.

    Attributes:
        accuracy: share of clips decided right.
        n: clips.
        per_label: by label.
        labels: order of the rows and columns of `counts`.
        counts: clips by truth (rows) and decision (columns).
        computation: what the gate or the early exit spared, if the bundle has one.
    """

    accuracy: float
    n: int
    per_label: dict[str, LabelScore]
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    computation: Computation | Leaving | None = None

    def as_json(self) -> dict[str, Any]:
        """The form that ``edge_agent evaluate --json`` prints."""
        scores = {
            "accuracy": self.accuracy,
            "n": self.n,
            "per_label": {name: dataclasses.asdict(s) for name, s in self.per_label.items()},
            "confusion": {"labels": list(self.labels), "counts": [list(r) for r in self.counts]},
        }
        spared = self.computation
        return scores if spared is None else scores | {"computation": spared.as_json()}


def score(labels: Sequence[str], truth: Sequence[int], said: Sequence[int]) -> Scores:
    """Scores decisions.

    Args:
        labels: the names.
        truth: place of each clip's true label in `labels`.
        said: place of each clip's decided label.

    Raises:
        ValueError: if there are no clips, or not as many decisions.
    """
    if not truth or len(truth) != len(said):
        raise ValueError(f"{len(truth)} clips and {len(said)} decisions cannot be scored")
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (np.asarray(truth), np.asarray(said)), 1)
    right, clips, decisions = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    per_label = {
        label: LabelScore(
            recall=float(right[i] / max(1, clips[i])),
            precision=float(right[i] / max(1, decisions[i])),
            n=int(clips[i]),
        )
        for i, label in enumerate(labels)
    }
    return Scores(
        accuracy=float(right.sum() / len(truth)),
        n=len(truth),
        per_label=per_label,
        labels=tuple(labels),
        counts=tuple(tuple(row) for row in counts.tolist()),
    )


def evaluate(
    bundle: Bundle,
    data: Path,
    list_file: Path | None = None,
    *,
    runtime: Runtime = "auto",
    head: Head | None = None,
) -> Scores:
    """Runs a bundle over a folder of recordings.

    Args:
        bundle: what to score.
        data: the folder of labels' folders.
        list_file: paths below `data`, one a line, of the recordings to take; all if None.
        runtime: which interpreter.
        head: a last layer that was learned on a device, in the place of the bundle's.

    Raises:
        EvaluationError: if there are no recordings, or a listed one is missing.
        WavError: if a recording cannot be read.
        ClassifierError, RuntimeModelError: if the model cannot be run here.
    """
    clips = _from_list(data, list_file) if list_file else _from_folders(data)
    classifier = KeywordClassifier(bundle.manifest, bundle.files, runtime=runtime, head=head)
    labels = classifier.labels
    unknown = labels.index(UNKNOWN)
    truth = [labels.index(c.folder) if c.folder in labels else unknown for c in clips]
    said = []
    for clip in clips:
        samples, rate = read_wav(clip.path)
        pcm = conform(samples, rate, classifier.features.sample_rate)
        said.append(int(np.argmax(classifier.classify(pcm))))
    scores = score(labels, truth, said)
    return dataclasses.replace(scores, computation=classifier.computation())


def _from_folders(data: Path) -> list[Clip]:
    if not data.is_dir():
        raise EvaluationError(
            f"{data}: is not a folder: give the folder that holds one folder a label"
        )
    clips = [
        Clip(path=path, folder=folder.name)
        for folder in sorted(data.iterdir())
        if folder.is_dir() and folder.name != BACKGROUND and not folder.name.startswith(".")
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == ".wav" and not path.name.startswith(".") and path.is_file()
    ]
    if not clips:
        raise EvaluationError(
            f"{data}: holds no recordings: they must lie as label/file.wav below that folder"
        )
    return clips


def _from_list(data: Path, list_file: Path) -> list[Clip]:
    if not data.is_dir():
        raise EvaluationError(
            f"{data}: is not a folder: give the folder that the list's paths are below"
        )
    clips = list(_listed(data, list_file))
    if not clips:
        raise EvaluationError(
            f"{list_file}: lists nothing: it must hold label/file.wav, one a line"
        )
    return clips


def _listed(data: Path, list_file: Path) -> Iterator[Clip]:
    try:
        lines = list_file.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise EvaluationError(f"{list_file}: cannot be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise EvaluationError(f"{list_file}: is not a text file in UTF-8") from e
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry:
            continue
        parts = PurePosixPath(entry).parts
        if len(parts) < 2 or parts[0] == "/" or ".." in parts:
            raise EvaluationError(
                f"{list_file}:{number}: {entry[:80]!r} is not of the form label/file.wav"
            )
        path = data.joinpath(*parts)
        if not path.is_file():
            raise EvaluationError(
                f"{list_file}:{number}: {path} is missing: take the line out or put the file there"
            )
        yield Clip(path=path, folder=parts[0])

"""False accepts and false rejects on continuous audio, by the device's own detector.

A stream is made in feature space: the frames of clips laid end to end, without the margins. The
negative stream holds other words and noise without a pause, and so more occasions an hour than any
room; the positive one holds keyword clips with a silence clip after each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.evaluator.scoring import Score
from components.training.data import FeatureSet, Split
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, DetectionPolicy
from edge_agent.keyword.policy import Detector

Probabilities = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """A scored stream.

    Attributes:
        probabilities: shape (inferences, labels), one row a hop.
        hop_s: seconds from one row to the next.
        words: (first row, row after the last, label) of each keyword in it.
    """

    probabilities: Probabilities
    hop_s: float
    words: tuple[tuple[int, int, str], ...] = ()

    @property
    def hours(self) -> float:
        """How long it is."""
        return len(self.probabilities) * self.hop_s / 3600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operating:
    """What a policy gives: false accepts an hour, and the share of keywords not detected."""

    false_accepts_per_hour: float
    false_rejects: float


_POSITIVE_VIEWS = 2


def make_streams(
    features: FeatureSet, split: Split, score: Score, hop_frames: int
) -> tuple[Stream, Stream]:
    """The negative and the positive stream of a split, scored every `hop_frames` frames.

    The negative one has every view of every clip that is no keyword, all clips once before any comes
    again, so that a refractory time does not hide how often one is mistaken; the positive one the
    keyword clips as recorded and their first views.
    """
    hop_s = hop_frames * features.features.stride_ms / 1000.0
    quiet = features.labels.index(SILENCE)
    other = (split.label == features.labels.index(UNKNOWN)) | (split.label == quiet)
    others = np.flatnonzero(other)
    by_view = others[np.argsort(split.view[others], kind="stable")]
    negative = _frames(features, split, by_view)
    pauses = np.flatnonzero(split.label == quiet)
    words = np.flatnonzero(~other & (split.view < _POSITIVE_VIEWS))
    rows = np.stack([words, pauses[np.arange(len(words)) % len(pauses)]], 1).ravel()
    positive = _frames(features, split, rows)
    spans = tuple(
        (
            _row_at(2 * i * features.frames + features.frames // 2, features.frames, hop_frames),
            _row_at((2 * i + 2) * features.frames, features.frames, hop_frames),
            features.labels[split.label[row]],
        )
        for i, row in enumerate(words)
    )
    return (
        Stream(probabilities=_scored(negative, features.frames, hop_frames, score), hop_s=hop_s),
        Stream(
            probabilities=_scored(positive, features.frames, hop_frames, score),
            hop_s=hop_s,
            words=spans,
        ),
    )


def detections(
    stream: Stream, policy: DetectionPolicy, labels: Sequence[str]
) -> list[tuple[int, str]]:
    """(row, label) of each detection in `stream`."""
    detector = Detector(policy, labels, hop_ms=stream.hop_s * 1000.0)
    found = []
    for row, probabilities in enumerate(stream.probabilities):
        detection = detector.step(row * stream.hop_s, probabilities)
        if detection is not None:
            found.append((row, detection.label))
    return found


def operate(
    negative: Stream, positive: Stream, policy: DetectionPolicy, labels: Sequence[str]
) -> Operating:
    """What a policy gives on a pair of streams."""
    accepted = len(detections(negative, policy, labels))
    found = detections(positive, policy, labels)
    missed = sum(
        not any(start <= row < end and said == label for row, said in found)
        for start, end, label in positive.words
    )
    return Operating(
        false_accepts_per_hour=accepted / negative.hours if negative.hours else 0.0,
        false_rejects=missed / len(positive.words) if positive.words else 0.0,
    )


def _frames(
    features: FeatureSet, split: Split, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int8]:
    """The frames of `rows` end to end, shape (frames, channels)."""
    codes = features.centred(np.asarray(split.codes[rows]))
    return codes.reshape(-1, codes.shape[-1])


def _scored(
    frames: npt.NDArray[np.int8], window: int, hop_frames: int, score: Score
) -> Probabilities:
    views = np.lib.stride_tricks.sliding_window_view(frames, window, axis=0)
    return score(views[::hop_frames].transpose(0, 2, 1))


def _row_at(end_frame: int, window: int, hop_frames: int) -> int:
    """The first inference whose window ends at or after `end_frame`."""
    return max(0, -(-(end_frame - window) // hop_frames))

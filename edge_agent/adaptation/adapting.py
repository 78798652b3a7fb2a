"""From a bundle and lessons to a head that may take the place of the bundle's, or to the reason why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.learning import distance, learned_head, with_thresholds
from edge_agent.adaptation.lessons import MARGIN_FRAMES, Lesson, windows
from edge_agent.bundle.archive import Bundle, BundleError
from edge_agent.bundle.manifest import KeywordManifest
from edge_agent.features.audio import Codes, Float32
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.head import Head, embedding_of, shipped_head
from edge_agent.runtime import Runtime

MOST_LOST = 0.01
_CAUTIONS = (0.003, 0.03, 0.3)
_FOLDS = 5
_LEAST_HEARD = 0.5
_LEAST_THRESHOLD = 0.35


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learned:
    """What came of lessons.

    Attributes:
        head: what was learned.
        before: the shipped head's accuracy on the bundle's check set.
        after: that of `head`; a learned word is a mistake there.
        heard: by word, the share of its recordings that were heard by heads that had not seen them.
        distance: as `edge_agent.adaptation.learning.distance` says.
    """

    head: Head
    before: float
    after: float
    heard: Mapping[str, float]
    distance: float


class Learner:
    """A bundle that can learn.

    Attributes:
        classifier: its model with the head that it was shipped with.
    """

    def __init__(self, bundle: Bundle, *, runtime: Runtime = "auto") -> None:
        """Opens the model.

        Raises:
            AdaptationError: if the bundle holds nothing to learn with.
            ClassifierError, RuntimeModelError: if its model cannot be run here.
        """
        manifest = bundle.manifest
        if not isinstance(manifest, KeywordManifest):
            raise AdaptationError(
                f"the bundle is for {manifest.workload}: only keyword_spotting learns words"
            )
        if manifest.adaptation is None:
            raise AdaptationError(
                "the bundle holds nothing to learn with: release it again with this version of the "
                "pipeline, and with an architecture that ends in a dense layer"
            )
        self._shipped = shipped_head(manifest, manifest.adaptation, bundle.files)
        self.classifier = KeywordClassifier(
            manifest, bundle.files, runtime=runtime, head=self._shipped
        )
        self._replay = self._replayed(bundle, manifest.adaptation.replay)
        try:
            codes, labels = (
                bundle.array(n) for n in (manifest.check_set.codes, manifest.check_set.labels)
            )
        except BundleError as e:
            raise AdaptationError(str(e)) from e
        self._check = self._embeddings(codes.astype(np.int8))
        self._check_places = labels.astype(np.int64)

    def learn(self, lessons: Sequence[Lesson]) -> Learned:
        """Learns `lessons` together, from the shipped head.

        Raises:
            AdaptationError: if too much would be forgotten, or a word is not heard in its recordings.
        """
        recordings = {lesson.word: self._recordings(lesson) for lesson in lessons}
        before = self._accuracy(self._shipped)
        after = 0.0
        for caution in _CAUTIONS:
            head = self._head(recordings, caution)
            after = self._accuracy(head)
            if after >= before - MOST_LOST:
                break
        else:
            raise AdaptationError(
                f"the shipped words would lose {100 * (before - after):.1f} points on the bundle's check "
                f"set, and {100 * MOST_LOST:.0f} is allowed: record more clearly, or choose a word that "
                "sounds less like the others"
            )
        heard = {word: self._heard(word, recordings, caution) for word in recordings}
        for word, share in heard.items():
            if share < _LEAST_HEARD:
                raise AdaptationError(
                    f"only {100 * share:.0f}% of the recordings of {word!r} were heard by what the others "
                    "taught: record the same word each time, alone, in the room where it will be said"
                )
        return Learned(
            head=head, before=before, after=after, heard=heard,
            distance=distance(head, self._shipped),
        )  # fmt: skip

    def _head(self, recordings: Mapping[str, Sequence[Float32]], caution: float) -> Head:
        words = {word: np.concatenate(each) for word, each in recordings.items()}
        head = learned_head(self._shipped, self._replay, words, caution)
        return with_thresholds(head, self._shipped, self._replay, _LEAST_THRESHOLD)

    def _heard(
        self, word: str, recordings: Mapping[str, Sequence[Float32]], caution: float
    ) -> float:
        """The share of a word's recordings that heads hear which were taught by the others."""
        own, heard = recordings[word], 0
        for fold in range(min(_FOLDS, len(own))):
            kept = [each for n, each in enumerate(own) if n % _FOLDS != fold]
            head = self._head({**recordings, word: kept}, caution)
            place = head.labels.index(word)
            threshold = self.classifier.policy.thresholds.get(word, head.thresholds.get(word, 1.0))
            for each in own[fold::_FOLDS]:
                heard += bool(head.probabilities(each).mean(0)[place] >= threshold)
        return heard / len(own)

    def _accuracy(self, head: Head) -> float:
        return float((head.probabilities(self._check).argmax(1) == self._check_places).mean())

    def _recordings(self, lesson: Lesson) -> list[Float32]:
        frames, channels = self.classifier.frames, self.classifier.features.channels
        # A model that streams may look at a frame less than the one before it.
        longer = lesson.codes.shape[1] - 2 * MARGIN_FRAMES - frames
        if not 0 <= longer <= MARGIN_FRAMES or lesson.codes.shape[2] != channels:
            raise AdaptationError(
                f"{lesson.word!r} was recorded for {lesson.codes.shape[2]} channels and "
                f"{lesson.codes.shape[1] - 2 * MARGIN_FRAMES} frames, and the bundle takes {channels} and "
                f"{frames}: enroll it again"
            )
        return [self._embeddings(windows(codes, frames)) for codes in lesson.codes]

    def _embeddings(self, codes: Codes) -> Float32:
        model = self.classifier.model
        return np.stack(
            [embedding_of(model.invoke(np.ascontiguousarray(w)), model.output) for w in codes]
        )

    def _replayed(self, bundle: Bundle, name: str) -> Float32:
        try:
            codes = bundle.array(name)
        except BundleError as e:
            raise AdaptationError(str(e)) from e
        if codes.dtype != np.int8 or codes.ndim != 2 or not len(codes):
            raise AdaptationError(f"{name}: is {codes.dtype} {codes.shape}: build the bundle again")
        if codes.shape[1] != self._shipped.weights.shape[1]:
            raise AdaptationError(
                f"{name} {codes.shape} does not fit the model: build the bundle again"
            )
        output = self.classifier.model.output
        return np.stack([embedding_of(row, output) for row in codes.astype(np.int8)])

"""Words in a continuous stream: one front end, one ring of frames, one detector.

Half a window of silence is put before the stream, and after its end, so that a word at its very
beginning or end is seen whole and in the middle of a window.

The time of a detection is the middle of what the averaged windows saw: about the middle of the
word, on the recording's own clock, never outside the recording. The detection is known half a
window and half the smoothing later than that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from edge_agent.bundle.archive import Bundle
from edge_agent.features.audio import Float32, Pcm, front_end
from edge_agent.features.waveform import StreamConformer
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.policy import Detection, Detector
from edge_agent.keyword.room import Room
from edge_agent.runtime import Runtime


class Spotter:
    """Takes the PCM of one stream in pieces of any size, and gives detections as they come."""

    def __init__(
        self, classifier: KeywordClassifier, *, warm_up_frames: int = 0, room: Room | None = None
    ) -> None:
        """Starts at the beginning of a stream.

        Args:
            classifier: the model; one spotter at a time may use it.
            warm_up_frames: frames, the silence before the stream among them, that must have passed
                before the first inference counts.
            room: that the stream comes from, where thresholds follow it.
        """
        self._classifier = classifier
        self._probabilities = classifier.consecutive()
        self._features = classifier.features
        self._front_end = front_end(self._features)
        self._warm_up = warm_up_frames
        self._hop = classifier.policy.hop_frames
        hop_ms = self._hop * self._features.stride_ms
        self._detector = Detector(classifier.policy, classifier.labels, hop_ms, room)
        self._ring = np.zeros((0, self._features.channels), np.int8)
        self._ring_start = 0
        self._next_start = 0
        self._silence = classifier.frames // 2 * self._features.stride_samples
        self._heard = 0
        self._started = False

    def process(self, pcm: Pcm) -> list[Detection]:
        """The words that the next samples, int16 at the features' rate, complete."""
        detections = []
        if not self._started:
            self._started = True
            detections += self._advance(np.zeros(self._silence, np.int16))
        self._heard += len(pcm)
        return detections + self._advance(pcm)

    def finish(self) -> list[Detection]:
        """The words that were still open at the end of the stream; the spotter is spent then."""
        return self._advance(np.zeros(self._silence, np.int16))

    def _advance(self, pcm: Pcm) -> list[Detection]:
        self._ring = np.concatenate([self._ring, self._front_end.process(pcm)])
        frames = self._classifier.frames
        detections = []
        while self._next_start + frames <= self._ring_start + len(self._ring):
            at = self._next_start - self._ring_start
            detection = self._infer(self._next_start, at)
            if detection is not None:
                detections.append(detection)
            self._next_start += self._hop
        surplus = min(self._next_start - self._ring_start, len(self._ring))
        self._ring = self._ring[surplus:].copy()
        self._ring_start += surplus
        return detections

    def _infer(self, start: int, at: int) -> Detection | None:
        frames = self._classifier.frames
        if start + frames < self._warm_up:
            return None
        probabilities = self._probabilities(self._ring[at : at + frames])
        features = self._features
        middle = start * features.stride_samples + features.samples_for(frames) / 2 - self._silence
        detection = self._detector.step(middle / features.sample_rate, probabilities)
        if detection is None:
            return None
        end_s = self._heard / features.sample_rate
        return dataclasses.replace(detection, time_s=min(max(0.0, detection.time_s), end_s))


def spot(
    bundle: Bundle, rate: int, blocks: Iterable[Float32], *, runtime: Runtime = "auto"
) -> Iterator[Detection]:
    """The words in a recording or a live stream, each as soon as it is known.

    Args:
        bundle: the model and its policy.
        rate: frames a second of the samples, Hz.
        blocks: the samples in order, float32 of shape (frames, channels), -1 to 1.
        runtime: which interpreter.

    Raises:
        ClassifierError, RuntimeModelError: if the model cannot be run here.
        WavError: from `blocks`.
    """
    classifier = KeywordClassifier(bundle.manifest, bundle.files, runtime=runtime)
    yield from spot_with(classifier, rate, blocks)


def spot_with(
    classifier: KeywordClassifier, rate: int, blocks: Iterable[Float32]
) -> Iterator[Detection]:
    """`spot` with a model that is loaded already; no other stream may use it meanwhile."""
    spotter = Spotter(classifier, warm_up_frames=classifier.warm_up_frames)
    conformer = StreamConformer(rate, classifier.features.sample_rate)
    for block in blocks:
        yield from spotter.process(conformer.process(block))
    yield from spotter.process(conformer.finish())
    yield from spotter.finish()

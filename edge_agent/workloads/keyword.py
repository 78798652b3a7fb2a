"""The process that hears: words in a stream of audio, one event a detection.

python -m edge_agent.workloads.keyword JOB
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_agent import selftest
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.classification import ClassifierError
from edge_agent.features.audio import Codes, Float32
from edge_agent.features.waveform import StreamConformer
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.head import Head
from edge_agent.keyword.policy import Detection
from edge_agent.keyword.room import Room
from edge_agent.keyword.spotting import Spotter
from edge_agent.runtime import RuntimeModelError
from edge_agent.sources.microphone import Microphone
from edge_agent.sources.patient import Patience, SourceError, open_bytes
from edge_agent.sources.pcm import RAW_RATE, raw_blocks
from edge_agent.sources.readable import Readable
from edge_agent.sources.wav import WavError, WavReader, endless_header
from edge_agent.sources.wyoming import WyomingMicrophone
from edge_agent.tables import MICROPHONE_SCHEME, WAKE_SCHEME, WYOMING_SCHEME, address_of
from edge_agent.workloads.counting import Counting
from edge_agent.workloads.following import FollowedRoom
from edge_agent.workloads.job import Job, RefusedError, work
from edge_agent.workloads.learned import learned_head
from edge_agent.workloads.speaking import Speaker
from edge_agent.workloads.wake_service import Ear, WakeService
from edge_agent.wyoming.wake import WakeTalk

_LONGEST_BLOCK_S = 0.25


class CountingClassifier(KeywordClassifier):
    """A classifier that counts what it does."""

    counting: Counting

    def consecutive(self) -> Callable[[Codes], Float32]:
        """As in `KeywordClassifier`."""
        probabilities = super().consecutive()

        def counted(window: Codes) -> Float32:
            begun = time.perf_counter()
            found = probabilities(window)
            self.counting.inferences(1, time.perf_counter() - begun)
            self.counting.score(float(max(found[self._words], default=0.0)))
            return found

        return counted

    @functools.cached_property
    def _words(self) -> list[int]:
        return [i for i, label in enumerate(self.labels) if label not in (SILENCE, UNKNOWN)]


class Hearing:
    """One stream of audio that may break off: each stretch of it is spotted by itself.

    Attributes:
        heard_s: seconds of audio so far.
    """

    def __init__(
        self,
        classifier: CountingClassifier,
        rate: int,
        speaker: Speaker,
        followed: FollowedRoom | None,
    ) -> None:
        self._classifier = classifier
        self._followed = followed
        self._rate = rate
        self._speaker = speaker
        self._counting = classifier.counting
        self._spotter: Spotter | None = None
        self._begun_s = 0.0
        self.heard_s = 0.0

    def take(self, block: Float32) -> None:
        """The next samples, float32 (frames, channels)."""
        if self._spotter is None:
            self._spotter = Spotter(
                self._classifier,
                warm_up_frames=self._classifier.warm_up_frames,
                room=_room(self._followed),
            )
            self._conformer = StreamConformer(self._rate, self._classifier.features.sample_rate)
            self._begun_s = self.heard_s
        self.heard_s += len(block) / self._rate
        self._counting.input_s = self.heard_s
        self._tell(self._spotter.process(self._conformer.process(block)))
        if self._followed is not None:
            self._followed.look()
        self._speaker.alive()

    def finish(self) -> None:
        """The stream, or this stretch of it, is over."""
        if self._spotter is not None:
            self._tell(self._spotter.process(self._conformer.finish()))
            self._tell(self._spotter.finish())
            self._spotter = None

    def waited(self, broken: bool) -> None:
        """Nothing has come for a while; `broken`: for so long that what comes then is another stretch."""
        if broken:
            self.finish()
        if self._followed is not None:
            self._followed.look()

    def _tell(self, detections: list[Detection]) -> None:
        for found in detections:
            self._counting.triggers += 1
            at = round(self._begun_s + found.time_s, 3)
            body = {"time_s": at, "label": found.label, "score": round(found.score, 4)}
            self._speaker.event("detection", body)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Words:
    """A bundle that has passed its self-test, and what was learned on it here.

    Attributes:
        bundle: the bundle.
        head: what was learned, if anything was.
        adaptation: what the status says of that.
        delegate: what takes over what it can of the model; empty for none.
    """

    bundle: archive.Bundle
    head: Head | None
    adaptation: dict[str, Any]
    delegate: str


def serve(job: Job, speaker: Speaker, counting: Counting, patience: Patience) -> None:
    """Hears until the source is over or the process is told to end."""
    words = _words(job, speaker)
    try:
        if job.source.startswith(WAKE_SCHEME):
            _serve_clients(job, words, speaker, counting, patience)
        else:
            _hear(job, words, speaker, counting, patience)
    except WavError as e:
        raise SourceError(str(e)) from e
    except RuntimeModelError as e:
        if words.delegate:
            # Its hardware may have been unplugged: the next start does without it then, and blames no bundle.
            raise SourceError(f"{words.delegate}: fails at its work: {e}") from e
        raise RefusedError(f"{job.bundle}: {e}") from e


def _hear(
    job: Job, words: _Words, speaker: Speaker, counting: Counting, patience: Patience
) -> None:
    """Hears one stream of sound."""
    classifier = _classifier(job, words, counting)
    # What one inference needs: smaller blocks would cost more and bring nothing.
    hop_s = classifier.policy.hop_frames * classifier.features.stride_ms / 1000
    block_s = min(hop_s, _LONGEST_BLOCK_S)

    begin = _opened(job, classifier.features.sample_rate, block_s, speaker, patience)
    speaker.ready(_facts(words, classifier))
    rate, blocks = begin()
    followed = _followed(job, words, classifier)
    hearing = Hearing(classifier, rate, speaker, followed)
    patience.on_wait(hearing.waited)
    for block in blocks:
        counting.gaps, counting.gap_s = patience.gaps, patience.gap_s
        hearing.take(block)
    hearing.finish()
    if followed is not None:
        followed.keep()


def _opened(
    job: Job, rate: int, block_s: float, speaker: Speaker, patience: Patience
) -> Callable[[], tuple[int, Iterator[Float32]]]:
    """Opens the source; what is given waits for its sound, and gives its rate and its samples."""
    if job.source.startswith(MICROPHONE_SCHEME):
        device = job.source.removeprefix(MICROPHONE_SCHEME)
        microphone = Microphone(device, rate, block_s, patience)
        return lambda: (rate, microphone.blocks())
    if job.source.startswith(WYOMING_SCHEME):
        remote = WyomingMicrophone(address_of(job.source, WYOMING_SCHEME), patience)
        return lambda: (remote.rate() or rate, remote.blocks())
    stream = open_bytes(job.source, patience)
    return lambda: _blocks(stream, job, block_s, speaker)


def _serve_clients(
    job: Job, words: _Words, speaker: Speaker, counting: Counting, patience: Patience
) -> None:
    """Hears for the clients of a wake-word service."""
    classifier = _classifier(job, words, counting)
    names = sorted(classifier.policy.thresholds)
    followed = _followed(job, words, classifier)
    room = _room(followed)

    def took(seconds: float) -> None:
        counting.input_s += seconds

    def talk() -> WakeTalk:
        own = _classifier(job, words, counting)
        return WakeTalk(
            words.bundle.manifest.name, names, lambda rate: Ear(own, rate, took, room), told
        )

    def told(found: Detection) -> None:
        counting.triggers += 1
        body = {
            "time_s": round(found.time_s, 3), "label": found.label, "score": round(found.score, 4),
        }  # fmt: skip
        speaker.event("detection", body)

    service = WakeService(address_of(job.source, WAKE_SCHEME), talk)
    speaker.ready(_facts(words, classifier) | {"port": service.port})

    def turn() -> None:
        if followed is not None:
            followed.look()
        speaker.alive()

    service.serve(patience, turn)
    if followed is not None:
        followed.keep()


def _followed(job: Job, words: _Words, classifier: CountingClassifier) -> FollowedRoom | None:
    """The room that thresholds follow, where the bundle and the settings let them."""
    bounds = classifier.policy.room
    if bounds is None or job.room != "follow" or not job.root:
        return None
    version = int(words.adaptation["version"])
    return FollowedRoom(
        Path(job.root), words.bundle.digest, version, classifier.policy, bounds, classifier.counting
    )


def _room(followed: FollowedRoom | None) -> Room | None:
    return None if followed is None else followed.room


def _facts(words: _Words, classifier: KeywordClassifier) -> dict[str, Any]:
    return {
        "runtime": classifier.model.runtime,
        "runtime_version": classifier.model.version,
        "delegate": words.delegate or None,
        "labels": list(classifier.labels),
        "adaptation": words.adaptation,
    }


def _words(job: Job, speaker: Speaker) -> _Words:
    runtime: Any = job.runtime
    try:
        bundle = archive.read(job.bundle)
    except archive.BundleError as e:
        raise RefusedError(str(e)) from e
    try:
        delegate = _delegate(job, bundle, speaker)
        if not delegate:
            selftest.run(bundle, runtime=runtime, threads=job.threads)
    except (
        archive.BundleError, selftest.SelfTestError, ClassifierError, RuntimeModelError
    ) as e:  # fmt: skip
        raise RefusedError(f"{job.bundle}: {e}") from e
    head, adaptation = learned_head(job, bundle, speaker)
    return _Words(bundle=bundle, head=head, adaptation=adaptation, delegate=delegate)


def _delegate(job: Job, bundle: archive.Bundle, speaker: Speaker) -> str:
    """The delegate of the settings, with which the bundle has passed its self-test.

    None, which is told, where it cannot be had or gives something else: better slow than deaf, and no bundle
    is to blame for it.
    """
    if not job.delegate:
        return ""
    runtime: Any = job.runtime
    try:
        selftest.run(bundle, runtime=runtime, threads=job.threads, delegate=job.delegate)
    except (selftest.SelfTestError, RuntimeModelError) as e:
        told = f"{job.delegate}: the processor does the work of this delegate until the next start: {e}"
        speaker.event("note", {"text": told})
        return ""
    return job.delegate


def _classifier(job: Job, words: _Words, counting: Counting) -> CountingClassifier:
    runtime: Any = job.runtime
    bundle = words.bundle
    try:
        classifier = CountingClassifier(
            bundle.manifest, bundle.files, runtime=runtime, threads=job.threads,
            delegate=words.delegate, head=words.head,
        )  # fmt: skip
    except ClassifierError as e:
        raise RefusedError(f"{job.bundle}: {e}") from e
    classifier.counting = counting
    return classifier


def _blocks(
    stream: Readable, job: Job, seconds: float, speaker: Speaker
) -> tuple[int, Iterator[Float32]]:
    """The rate and the samples, `seconds` at a time; says what another process must know to go on."""
    head = bytes.fromhex(job.place.get("head", ""))
    while len(head) < 4 and (piece := stream.read(4 - len(head))):
        head += piece
    if head[:4] != b"RIFF":
        return RAW_RATE, raw_blocks(stream, round(RAW_RATE * seconds), head=head)
    reader = WavReader(stream, job.source, head=head)
    if job.source == "-":
        speaker.place({"head": endless_header(reader.format).hex()})
    return reader.format.rate, reader.blocks(math.ceil(reader.format.rate * seconds))


if __name__ == "__main__":
    work(serve, sys.argv)

"""One shard of Transform: a pure function of its records, its noise and the parameters."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from components.records import Example
from components.training.rows import MADE
from components.transform.augmentation import ViewParameters, make_views
from components.transform.negatives import Word, make_silence, make_unknown
from components.transform.noise import NoiseSource, Wave
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.features.audio import AudioFeatures, Codes, Pcm, clip_codes
from edge_agent.keyword.classifier import clip_codes_with_margin

_LOWEST, _HIGHEST = np.float32(-32_768), np.float32(32_767)
_TRIES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardTask:
    """What to make of one shard.

    Attributes:
        features: the front end.
        views: what an augmented view may be.
        labels: label names in the order of their numbers.
        margin_frames: frames kept before and after each clip.
        count: augmented views of each clip.
        made_unknown: clips made of keyword clips, as a multiple of those.
        made_silence: pieces of noise, as a multiple of the clips.
        seed: seed of the run.
    """

    features: AudioFeatures
    views: ViewParameters
    labels: tuple[str, ...]
    margin_frames: int
    count: int
    made_unknown: float
    made_silence: float
    seed: int

    @property
    def augments(self) -> bool:
        """Whether anything is made beside the clips as recorded."""
        return self.count > 0 or self.made_unknown > 0 or self.made_silence > 0

    def samples_around(self, example: Example) -> int:
        """Samples of `example` with its margins."""
        return len(example.pcm) + 2 * self.margin_frames * self.features.stride_samples


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardFeatures:
    """The rows that came of one shard; `clip` counts from 0 within it."""

    codes: npt.NDArray[np.int8]
    label: npt.NDArray[np.int32]
    clip: npt.NDArray[np.int32]
    view: npt.NDArray[np.int32]


def transform_shard(
    examples: Sequence[Example], recorded_noise: Sequence[Wave], task: ShardTask
) -> ShardFeatures:
    """Codes of every example, of its views, and of the clips that are made of them.

    Each view draws from a generator seeded by the clip's content, so it is the same in whichever
    order or worker it is made, and beside whichever clips; but babble, where there are enough
    voices for it, is made of the clips of the same shard.
    """
    codes: list[Codes] = []
    rows: list[tuple[int, int, int]] = []
    clips = examples if task.augments else []
    waves = [clip.pcm.astype(np.float32) for clip in clips]
    speech = [wave for wave, clip in zip(waves, clips, strict=True) if clip.label != SILENCE]
    noise = NoiseSource(recorded_noise, speech, task.features.sample_rate, task.seed)
    for number, example in enumerate(examples):
        label = task.labels.index(example.label)
        codes.append(clip_codes_with_margin(example.pcm, task.features, task.margin_frames))
        rows.append((label, number, 0))
        if task.count:
            rng = _generator(task.seed, example.decoded_digest, "views")
            samples = task.samples_around(example)
            views = make_views(rng, waves[number], task.count, samples, noise, task.views)
            for view, pcm in enumerate([_pcm(wave) for wave in views], 1):
                codes.append(clip_codes(pcm, task.features))
                rows.append((label, number, view))
    if task.made_unknown or task.made_silence:
        for name, wave in _made(examples, waves, noise, task):
            codes.append(clip_codes(_pcm(wave), task.features))
            rows.append((task.labels.index(name), MADE, MADE))
    label_, clip_, view_ = np.asarray(rows, np.int32).reshape(-1, 3).T
    return ShardFeatures(codes=np.stack(codes), label=label_, clip=clip_, view=view_)


def _made(
    examples: Sequence[Example], waves: Sequence[Wave], noise: NoiseSource, task: ShardTask
) -> Iterator[tuple[str, Wave]]:
    words = [
        Word(wave, example.label)
        for wave, example in zip(waves, examples, strict=True)
        if example.label not in (UNKNOWN, SILENCE)
    ]
    rng = _generator(task.seed, *(e.decoded_digest for e in examples), "made")
    samples = task.samples_around(examples[0])
    left, tries = round(task.made_unknown * len(words)), 0
    while left > 0 and tries < _TRIES * left + _TRIES:
        tries += 1
        wave = make_unknown(rng, words)
        if wave is not None:
            left -= 1
            (view,) = make_views(rng, wave, 1, samples, noise, task.views)
            yield UNKNOWN, view
    for _ in range(round(task.made_silence * len(examples))):
        yield SILENCE, make_silence(rng, noise, samples)


def _pcm(wave: Wave) -> Pcm:
    """`wave` in 16 bits; it is written over."""
    np.rint(wave, out=wave)
    if wave.max() > _HIGHEST or wave.min() < _LOWEST:
        np.clip(wave, _LOWEST, _HIGHEST, out=wave)
    return wave.astype(np.int16)


def _generator(seed: int, *names: str) -> np.random.Generator:
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))

"""Who says what: the list of clips to make, before any of them is made."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

import numpy as np

from components.speech_synthesizer.component import SpeechSynthesizerParameters
from components.speech_synthesizer.vocabulary import Vocabulary

UNKNOWN = "_unknown_"
SILENCE = "_silence_"
BACKGROUND = "_background_noise_"


@dataclasses.dataclass(frozen=True)
class Clip:
    """One file to make.

    Attributes:
        path: where it goes, relative to the recordings folder.
        word: what is said; empty for silence.
        number: its place among all clips of its speaker, from 0.
    """

    path: str
    word: str
    number: int


@dataclasses.dataclass(frozen=True)
class SpeakerPlan:
    """All that one speaker says.

    Attributes:
        index: the speaker's number, from 0.
        id: eight hex digits, as in Speech Commands' file names.
        clips: in the order in which they are made.
    """

    index: int
    id: str
    clips: tuple[Clip, ...]


def speaker_plans(
    parameters: SpeechSynthesizerParameters, vocabulary: Vocabulary
) -> tuple[SpeakerPlan, ...]:
    """Shares the clips among the speakers, as evenly as the numbers allow."""
    rng = np.random.default_rng([parameters.seed, 0])
    wanted = [
        (word, word) for word in parameters.keywords for _ in range(parameters.clips_per_word)
    ]
    for _ in range(parameters.unknown_clips):
        near = vocabulary.near and (not vocabulary.far or rng.random() < parameters.near_share)
        words = vocabulary.near if near else vocabulary.far
        wanted.append((UNKNOWN, words[rng.integers(len(words))]))
    wanted += [(SILENCE, "")] * parameters.silence_clips
    ids = _speaker_ids(parameters)
    shares: list[list[Clip]] = [[] for _ in ids]
    taken: Counter[str] = Counter()
    for position, (label, word) in enumerate(wanted):
        speaker = position % len(ids)
        name = f"{word}_{ids[speaker]}" if label == UNKNOWN else ids[speaker]
        stem = f"{label}/{name}_nohash_"
        share = shares[speaker]
        share.append(Clip(path=f"{stem}{taken[stem]}.wav", word=word, number=len(share)))
        taken[stem] += 1
    return tuple(
        SpeakerPlan(index=index, id=ids[index], clips=tuple(clips))
        for index, clips in enumerate(shares)
        if clips
    )


def _speaker_ids(parameters: SpeechSynthesizerParameters) -> list[str]:
    ids: list[str] = []
    draw = 0
    while len(ids) < parameters.speakers:
        id_ = hashlib.sha256(f"{parameters.seed}/{draw}".encode()).hexdigest()[:8]
        draw += 1
        if id_ not in ids:
            ids.append(id_)
    return ids

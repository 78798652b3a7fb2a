"""Recordings as they are learned from: feature codes, with some frames on both sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_agent.adaptation.errors import AdaptationError
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.features.audio import Codes, Pcm
from edge_agent.features.waveform import conform
from edge_agent.keyword.classifier import KeywordClassifier, clip_codes_with_margin
from edge_agent.sources.wav import WavError, read_wav

FEWEST, MOST = 5, 20
MARGIN_FRAMES = 6
# Where windows stand around the middle of a recording, frames.
_POSITIONS = (-6, -3, 0, 3, 6)
_LONGEST_S = 10.0
# The loudest sample of a recording of speech, of 32768.
_QUIETEST = 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesson:
    """A word, and recordings of it.

    Attributes:
        word: a label of the bundle, or a new one.
        codes: int8, shape (recordings, margin + frames + margin, channels).
    """

    word: str
    codes: Codes


def check_word(word: str) -> None:
    """Sees whether a device can learn `word`.

    Raises:
        AdaptationError: if not.
    """
    if word.lower().endswith(".wav"):
        raise AdaptationError(f"{word[:60]!r} is no word: say first what the recordings hold")
    plain = word.isprintable() and word == word.strip() and 1 <= len(word) <= 40
    if word in (SILENCE, UNKNOWN) or not plain:
        raise AdaptationError(
            f"{word[:60]!r} cannot be learned: give a word of 1 to 40 printable characters, without "
            "spaces around it"
        )


def read_lesson(word: str, files: Sequence[Path], classifier: KeywordClassifier) -> Lesson:
    """The lesson in WAV files that each hold the word once.

    Args:
        word: as `check_word` says.
        files: the recordings, of any rate.
        classifier: gives the front end and the length of a clip.

    Raises:
        AdaptationError: if they are too few, too many, too long, silent or alike.
    """
    check_word(word)
    if not FEWEST <= len(files) <= MOST:
        raise AdaptationError(f"{len(files)} recordings: give {FEWEST} to {MOST} of {word!r}")
    codes: list[Codes] = []
    for file in files:
        clip = _clip(file, classifier)
        made = clip_codes_with_margin(clip, classifier.features, MARGIN_FRAMES)
        if any(np.array_equal(made, other) for other in codes):
            raise AdaptationError(
                f"{file}: is the same recording as another: record the word anew each time"
            )
        codes.append(made)
    return Lesson(word=word, codes=np.stack(codes))


def windows(codes: Codes, frames: int) -> Codes:
    """The windows of one recording's codes around its middle, shape (positions, frames, channels)."""
    middle = (len(codes) - frames) // 2
    starts = [middle + position for position in _POSITIONS]
    return np.stack([codes[start : start + frames] for start in starts])


def _clip(file: Path, classifier: KeywordClassifier) -> Pcm:
    """The loudest stretch of a recording, as long as a clip."""
    try:
        samples, rate = read_wav(file)
    except WavError as e:
        raise AdaptationError(str(e)) from e
    if len(samples) > _LONGEST_S * rate:
        raise AdaptationError(
            f"{file}: lasts {len(samples) / rate:.0f} s: cut it to the word, at most {_LONGEST_S:.0f} s"
        )
    pcm = conform(samples, rate, classifier.features.sample_rate)
    if not len(pcm) or int(np.abs(pcm.astype(np.int32)).max()) < _QUIETEST:
        raise AdaptationError(f"{file}: is silent: record the word nearer to the microphone")
    return _loudest(pcm, classifier.clip_samples)


def _loudest(pcm: Pcm, samples: int) -> Pcm:
    padded = np.pad(pcm, samples // 2)
    energy = np.cumsum(np.square(padded.astype(np.float64)))
    within = energy[samples:] - energy[:-samples]
    # The middle of where most of the energy fits, so that a short word does not stand at an edge.
    best = np.flatnonzero(within >= 0.999 * within.max())
    start = int(best[len(best) // 2])
    return padded[start : start + samples]

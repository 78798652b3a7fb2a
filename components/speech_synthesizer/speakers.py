"""The people who speak: a throat, an accent and habits of speech, drawn at random.

A throat is a voice variant of eSpeak NG written for this one speaker: pitch, the formants' places,
heights and widths, breath, roughness, the tilt of the voice. The ranges follow what is known of
men, women and children: mean pitch about 120, 210 and 280 Hz, vocal tracts of about 17, 14.5 and
12.5 cm (Peterson and Barney, "Control methods used in a study of the vowels", 1952).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from components.speech_synthesizer.accents import FOREIGN, foreign

_ACCENTS = (
    ("en-us", 0.46),
    ("en-us-nyc", 0.08),
    ("en", 0.12),
    ("en-gb-x-rp", 0.10),
    ("en-gb-x-gbclan", 0.06),
    ("en-gb-x-gbcwmd", 0.05),
    ("en-gb-scotland", 0.06),
    ("en-029", 0.07),
)
# kind: share, lowest pitch in Hz (from, to), formant scale (mean, deviation)
_THROATS = {
    "male": (0.50, (75.0, 140.0), (1.0, 0.045)),
    "female": (0.36, (150.0, 235.0), (1.15, 0.05)),
    "child": (0.14, (210.0, 320.0), (1.28, 0.07)),
}
# Usual heights of the formants, in percent of eSpeak's own, which are too bright.
_HEIGHTS = (110.0, 100.0, 92.0, 78.0, 70.0, 65.0, 65.0, 65.0, 65.0)
# Places of the first two formants, as factors: recorded vowels are more open and further back.
_PLACES = {1: (0.94, 1.13), 2: (0.89, 1.07)}
_MELODIES = (".", ".", ".", ",", "!", "?")


@dataclasses.dataclass(frozen=True)
class Speaker:
    """One voice.

    Attributes:
        accent: the eSpeak voice whose sounds and rules are used.
        variant: name of the variant file.
        definition: text of the variant file.
        words_per_minute: usual speed.
        stretch: factor on the length of the samples, which moves all formants and the pitch.
    """

    accent: str
    variant: str
    definition: str
    words_per_minute: float
    stretch: float


@dataclasses.dataclass(frozen=True)
class Utterance:
    """How a word is said this once; see `Espeak.say`."""

    text: str
    words_per_minute: int
    pitch: int
    intonation: int


def draw_speaker(rng: np.random.Generator, id_: str, foreign_share: float) -> Speaker:
    """A speaker at random, whose variant is called after `id_`, foreign so often."""
    accents, shares = zip(*_ACCENTS, strict=True)
    accent = rng.choice(FOREIGN) if rng.random() < foreign_share else rng.choice(accents, p=shares)
    return Speaker(
        accent=str(accent),
        variant=f"s{id_}",
        definition=_variant(rng, f"s{id_}"),
        words_per_minute=float(rng.uniform(95.0, 230.0)),
        stretch=float(np.exp(rng.normal(0.0, 0.035))),
    )


def draw_utterance(
    rng: np.random.Generator, speaker: Speaker, word: str, phonemes: str
) -> Utterance:
    """One saying of `word` by `speaker`: sometimes slower, higher, livelier, as a question."""
    spoken = foreign(phonemes) if speaker.accent in FOREIGN else word
    return Utterance(
        text=spoken + str(rng.choice(_MELODIES)),
        words_per_minute=int(np.clip(speaker.words_per_minute * rng.uniform(0.8, 1.25), 80, 260)),
        pitch=int(np.clip(rng.normal(50.0, 18.0), 0, 99)),
        intonation=int(np.clip(rng.normal(55.0, 25.0), 0, 99)),
    )


def _variant(rng: np.random.Generator, name: str) -> str:
    kinds = list(_THROATS)
    kind = kinds[int(rng.choice(len(kinds), p=[_THROATS[k][0] for k in kinds]))]
    _, pitches, (mean, deviation) = _THROATS[kind]
    low = rng.uniform(*pitches)
    scale = rng.normal(mean, deviation)
    lines = [
        "language variant",
        f"name {name}",
        f"gender {'male' if kind == 'male' else 'female'}",
        f"pitch {low:.0f} {low * rng.uniform(1.15, 1.8):.0f}",
        f"flutter {rng.integers(1, 9)}",
        f"roughness {rng.integers(0, 5)}",
        f"voicing {rng.integers(70, 125)}",
        f"consonants {rng.integers(70, 230)} {rng.integers(70, 200)}",
        "stressLength " + " ".join(str(v) for v in _lengths(rng)),
    ]
    tilt = rng.normal(0.0, 7.0)
    dark = rng.uniform(0.0, 1.0)
    for formant in range(9):
        frequency = 100.0 * scale * rng.uniform(*_PLACES.get(formant, (0.93, 1.07)))
        height = (
            100.0
            - dark * (100.0 - _HEIGHTS[formant])
            + (formant - 2) * tilt
            + rng.normal(0.0, 12.0)
        )
        width = 100.0 * rng.uniform(0.8, 1.9)
        lines.append(
            f"formant {formant} {frequency:.0f} {np.clip(height, 25.0, 190.0):.0f} {width:.0f}"
        )
    if rng.random() < 0.4:
        breath = rng.integers(0, 8, 8)
        lines.append("breath " + " ".join(str(v) for v in breath))
    if rng.random() < 0.25:
        lines.append(f"klatt {rng.integers(1, 6)}")
    return "\n".join(lines) + "\n"


def _lengths(rng: np.random.Generator) -> list[int]:
    usual = np.array([182, 140, 220, 220, 0, 0, 240, 260])
    return [int(v) for v in usual * rng.uniform(0.65, 1.25) * rng.uniform(0.85, 1.15, len(usual))]

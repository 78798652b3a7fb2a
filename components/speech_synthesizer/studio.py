"""One process' share of the work: speaks, places and writes the clips of a few speakers."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from components.base import UserError
from components.speech_synthesizer import noises
from components.speech_synthesizer.acoustics import LONGEST_WORD, recorded, silence, trimmed
from components.speech_synthesizer.component import SpeechSynthesizerParameters
from components.speech_synthesizer.espeak import SAMPLE_RATE, Espeak
from components.speech_synthesizer.noises import RATE, Noise, Samples
from components.speech_synthesizer.plan import BACKGROUND, SpeakerPlan
from components.speech_synthesizer.speakers import Speaker, draw_speaker, draw_utterance
from components.speech_synthesizer.vocabulary import Vocabulary, check_distinct, vocabulary

_REFERENCE_ACCENT = "en-us"
_FASTEST_PLAIN_SPEECH = 220
_FASTEST = 450
_BABBLE_WORDS = 40
_BACKGROUNDS = ("hiss", "room_tone", "hum", "knocks", "wail", "babble")
# First numbers of the random streams, so that none is drawn twice.
_PEOPLE, _BABBLE, _BACKGROUND_NOISE = 1, 2, 3


def audition(keywords: Sequence[str], seed: int) -> Vocabulary:
    """Hears whether the keywords can be used, and which other words go with them.

    Raises:
        UserError: a keyword has no sound or lasts longer than a clip, or two sound the same.
    """
    with Espeak(seed) as espeak:
        espeak.set_voice(_REFERENCE_ACCENT)
        check_distinct(keywords, espeak.phonemes)
        for word in keywords:
            said = espeak.say(word, words_per_minute=_FASTEST_PLAIN_SPEECH, pitch=50, intonation=50)
            if len(trimmed(said / 32768.0)) > LONGEST_WORD / RATE * SAMPLE_RATE:
                raise UserError(
                    f"the keyword {word!r} does not fit into a clip of one second: "
                    "choose a shorter one"
                )
        return vocabulary(keywords, espeak.phonemes)


def record(
    folder: Path,
    plans: Sequence[SpeakerPlan],
    words: Vocabulary,
    parameters: SpeechSynthesizerParameters,
) -> int:
    """Writes the clips of `plans` into `folder`, whose label folders exist; gives their number.

    It must be the first to use eSpeak in its process, or the samples will differ.
    """
    done = 0
    first = plans[0].index
    with Espeak(parameters.seed + first) as espeak:
        sounds = _noises(espeak, np.random.default_rng([parameters.seed, _BABBLE, first]), words)
        for plan in plans:
            stream = [parameters.seed, _PEOPLE, plan.index]
            speaker = draw_speaker(np.random.default_rng(stream), plan.id, parameters.foreign_share)
            _seat(espeak, speaker)
            for clip in plan.clips:
                rng = np.random.default_rng([*stream, clip.number])
                if clip.word:
                    voice = _word(espeak, rng, speaker, clip.word, words)
                    samples, _ = recorded(rng, voice, sounds, parameters.room_share)
                else:
                    samples = silence(rng, sounds)
                _write(folder / clip.path, samples)
                done += 1
    return done


def record_background(
    folder: Path, words: Vocabulary, parameters: SpeechSynthesizerParameters
) -> int:
    """Writes the long noises; gives 0, for they are not clips."""
    samples = int(parameters.background_seconds * RATE)
    if samples == 0:
        return 0
    (folder / BACKGROUND).mkdir()
    stream = [parameters.seed, _BACKGROUND_NOISE]
    with Espeak(parameters.seed) as espeak:
        sounds = _noises(espeak, np.random.default_rng(stream), words)
        for number, (name, noise) in enumerate(zip(_BACKGROUNDS, sounds, strict=True)):
            sound = noise(np.random.default_rng([*stream, number]), samples)
            _write(folder / BACKGROUND / f"{name}.wav", np.clip(0.05 * sound, -1.0, 1.0))
    return 0


def _noises(espeak: Espeak, rng: np.random.Generator, words: Vocabulary) -> tuple[Noise, ...]:
    """All kinds of noise, in the order of `_BACKGROUNDS`; the babble is of words never spotted."""
    said = words.far or words.near
    talk = []
    for number in range(_BABBLE_WORDS):
        speaker = draw_speaker(rng, f"babble{number}", foreign_share=0.0)
        _seat(espeak, speaker)
        talk.append(_word(espeak, rng, speaker, said[int(rng.integers(len(said)))], words))
    return (
        noises.hiss,
        noises.room_tone,
        noises.hum,
        noises.knocks,
        noises.wail,
        noises.babble(talk),
    )


def _seat(espeak: Espeak, speaker: Speaker) -> None:
    espeak.set_voice(speaker.accent, speaker.variant, speaker.definition)


def _word(
    espeak: Espeak, rng: np.random.Generator, speaker: Speaker, word: str, words: Vocabulary
) -> Samples:
    """The dry word at `RATE`, said again faster where it would not fit into a clip."""
    saying = draw_utterance(rng, speaker, word, words.phonemes[word])
    speed = saying.words_per_minute
    while True:
        pcm = espeak.say(
            saying.text,
            words_per_minute=speed,
            pitch=saying.pitch,
            intonation=saying.intonation,
        )
        voice = soxr.resample(pcm / 32768.0, SAMPLE_RATE, RATE * speaker.stretch)
        voice = trimmed(np.asarray(voice, np.float64))
        if len(voice) <= LONGEST_WORD or speed >= _FASTEST:
            return voice[:LONGEST_WORD]
        speed = min(_FASTEST, int(speed * 1.25) + 1)


def _write(path: Path, samples: Samples) -> None:
    """Writes mono 16-bit PCM at `RATE`."""
    pcm = np.rint(samples * 32767.0).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())

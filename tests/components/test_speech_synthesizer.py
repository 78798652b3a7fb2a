"""The synthesised recordings: layout, determinism, audible words, and which words are refused."""

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from components.base import UserError
from components.speech_synthesizer import acoustics, noises
from components.speech_synthesizer.component import (
    SpeechSynthesizer,
    SpeechSynthesizerParameters,
)
from components.speech_synthesizer.executor import execute
from components.speech_synthesizer.plan import speaker_plans
from components.speech_synthesizer.vocabulary import (
    Vocabulary,
    bundled_words,
    check_distinct,
    check_keywords,
    vocabulary,
)

RATE = 16_000
# Two tasks' worth of speakers, so that the order in which processes finish is put to the test.
FEW = SpeechSynthesizerParameters(
    keywords=("yes", "go"),
    clips_per_word=30,
    unknown_clips=20,
    silence_clips=8,
    background_seconds=2.0,
    speakers=30,
)


def synthesise(folder: Path, parameters: SpeechSynthesizerParameters) -> Path:
    folder.mkdir()
    execute({}, {"recordings": folder}, parameters)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.wav"))
    }


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesise(tmp_path_factory.mktemp("synthesis") / "recordings", FEW)


@pytest.fixture(scope="module")
def pronunciations() -> dict[str, str]:
    """Of the bundled words and some keywords; eSpeak speaks in a process of its own."""
    words = [*bundled_words(), "no", "right", "two", "42", "hey marvin"]
    script = (
        "import sys, json\n"
        "from components.speech_synthesizer.espeak import Espeak\n"
        "with Espeak(1) as espeak:\n"
        "    espeak.set_voice('en-us')\n"
        "    words = json.load(sys.stdin)\n"
        "    print(json.dumps({word: espeak.phonemes(word) for word in words}))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    return dict(json.loads(answer.stdout))


def test_folder_has_speech_commands_layout(recordings: Path) -> None:
    assert sorted(p.name for p in recordings.iterdir()) == [
        "_background_noise_",
        "_silence_",
        "_unknown_",
        "go",
        "yes",
    ]
    for label, clips in (("yes", 30), ("go", 30), ("_silence_", 8)):
        names = [p.name for p in (recordings / label).iterdir()]
        assert len(names) == clips
        assert all(re.fullmatch(r"[0-9a-f]{8}_nohash_\d+\.wav", name) for name in names)
    unknown = [p.name for p in (recordings / "_unknown_").iterdir()]
    assert len(unknown) == 20
    assert all(re.fullmatch(r"[a-z]+_[0-9a-f]{8}_nohash_\d+\.wav", name) for name in unknown)
    for path in (recordings / "_background_noise_").iterdir():
        assert len(samples(path)) == 2 * RATE


def test_speakers_say_several_clips(recordings: Path) -> None:
    speakers = [p.name[:8] for label in ("yes", "go") for p in (recordings / label).iterdir()]
    assert len(set(speakers)) == 30
    assert len(speakers) == 60


def test_every_word_is_heard_and_no_two_clips_are_alike(recordings: Path) -> None:
    clips = [p for label in ("yes", "go", "_unknown_") for p in (recordings / label).iterdir()]
    for path in clips:
        pcm = samples(path)
        assert len(pcm) == RATE
        frames = np.sqrt(np.mean(pcm.reshape(-1, 400) ** 2, axis=1))
        assert frames.max() > 0.02 * 32768, path
    assert len(set(digests(recordings).values())) == len(digests(recordings))


def test_same_seed_same_bytes_whatever_the_workers(recordings: Path, tmp_path: Path) -> None:
    again = synthesise(tmp_path / "again", dataclasses.replace(FEW, workers=1))
    assert digests(again) == digests(recordings)


def test_other_seed_other_voices() -> None:
    others = Vocabulary(near=(), far=("cat",), phonemes={})
    first = speaker_plans(SpeechSynthesizerParameters(seed=1), others)
    second = speaker_plans(SpeechSynthesizerParameters(seed=2), others)
    assert not {plan.id for plan in first} & {plan.id for plan in second}


def test_a_speaker_says_different_words() -> None:
    plans = speaker_plans(
        SpeechSynthesizerParameters(), Vocabulary(near=(), far=("cat",), phonemes={})
    )
    assert all({"yes", "no", "stop", "go"} <= {clip.word for clip in plan.clips} for plan in plans)


@pytest.mark.parametrize(
    "keywords",
    [(), ("yes", "日本"), ("yes", ""), ("!!", "no"), ("_unknown_",), ("../up",), ("Yes", "yes")],
)
def test_words_that_cannot_be_folders_or_speech_are_refused(keywords: tuple[str, ...]) -> None:
    with pytest.raises(UserError):
        check_keywords(keywords)


def test_digits_and_phrases_are_fine(pronunciations: dict[str, str]) -> None:
    check_keywords(("42", "hey marvin"))
    check_distinct(("42", "hey marvin"), pronunciations.__getitem__)


def test_keywords_that_sound_alike_are_refused(pronunciations: dict[str, str]) -> None:
    with pytest.raises(UserError, match="'no' and 'know' sound the same"):
        check_distinct(("no", "know"), pronunciations.__getitem__)


def test_a_keyword_longer_than_a_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit"):
        synthesise(
            tmp_path / "long",
            dataclasses.replace(FEW, keywords=("yes", "internationalisation")),
        )


def test_other_words_leave_out_homophones_and_keep_near_ones(
    pronunciations: dict[str, str],
) -> None:
    others = vocabulary(("no", "right", "two"), pronunciations.__getitem__)
    everything = {*others.near, *others.far}
    assert not everything & {"know", "write", "two", "no", "right"}
    assert {"note", "snow", "light"} <= set(others.near)
    assert "banana" in others.far


def test_bundled_words_are_many_and_once_each() -> None:
    words = bundled_words()
    assert len(words) == len(set(words)) > 400


@pytest.mark.parametrize("seed", range(20))
def test_a_word_lies_whole_in_its_clip(seed: int) -> None:
    rng = np.random.default_rng(seed)
    word = np.sin(np.arange(6_000) * 0.3)
    clip, start = acoustics.recorded(rng, word, [noises.hiss], 0.5)
    assert 0 <= start <= RATE - len(word)
    inside = np.mean(clip[start : start + len(word)] ** 2)
    outside = np.mean(np.concatenate([clip[:start], clip[start + len(word) :]]) ** 2)
    assert inside > outside


@pytest.mark.parametrize(
    "noise",
    [noises.hiss, noises.room_tone, noises.hum, noises.knocks, noises.wail],
)
def test_noises_are_finite_and_of_unit_level(noise: noises.Noise) -> None:
    for seed in range(10):
        sound = noise(np.random.default_rng(seed), RATE)
        assert sound.shape == (RATE,)
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(1.0, rel=1e-6)


def test_component_gives_recordings_and_checks_its_numbers() -> None:
    assert set(SpeechSynthesizer().outputs) == {"recordings"}
    with pytest.raises(ValueError, match="speakers"):
        SpeechSynthesizerParameters(speakers=0)
    with pytest.raises(ValueError, match="near_share"):
        SpeechSynthesizerParameters(near_share=1.5)

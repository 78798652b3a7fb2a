"""SpeechSynthesizer: recordings of the wanted words, made rather than found."""

from __future__ import annotations

import dataclasses

from components.artifacts import RECORDINGS
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechSynthesizerParameters:
    """What to say, in how many voices.

    Attributes:
        keywords: the words to spot; each becomes a label.
        clips_per_word: clips of each keyword.
        unknown_clips: clips of other words, the label ``_unknown_``.
        silence_clips: clips without a word, the label ``_silence_``.
        background_seconds: length of each recording in ``_background_noise_``, seconds; 0 for none.
        speakers: voices to share the clips among; each is one speaker for the splits.
        near_share: share of the unknown clips whose word sounds nearly like a keyword, 0 to 1.
        foreign_share: share of the speakers who have English as a foreign language, 0 to 1.
        room_share: share of the clips spoken in a room rather than close to the microphone, 0 to 1.
        workers: processes to synthesise in; the result does not depend on it.
        seed: of every random draw.
    """

    keywords: tuple[str, ...] = ("yes", "no", "stop", "go")
    clips_per_word: int = 800
    unknown_clips: int = 1_600
    silence_clips: int = 400
    background_seconds: float = 30.0
    speakers: int = 400
    near_share: float = 0.1
    foreign_share: float = 0.15
    room_share: float = 0.4
    workers: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("clips_per_word", "unknown_clips", "silence_clips", "speakers", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("near_share", "foreign_share", "room_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 to 1")
        if not 0.0 <= self.background_seconds <= 3_600.0:
            raise ValueError("background_seconds must be 0 to 3600")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: it must be at least 0")


class SpeechSynthesizer(Component):
    """Speaks the keywords with eSpeak NG in many voices, rooms and noises."""

    OUTPUTS = {"recordings": RECORDINGS}
    PARAMETERS = SpeechSynthesizerParameters
    EXECUTOR = "components.speech_synthesizer.executor:execute"

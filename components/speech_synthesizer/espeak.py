"""eSpeak NG, called in this process through the library in the espeakng-loader wheel.

eSpeak is one global machine: a voice, its parameters, a random generator and phases of oscillators
that run on from word to word. What it says therefore depends on all that it said before. Whoever
needs the same samples twice starts a fresh process and says the same things in the same order.

Source: eSpeak NG 1.52, ``speak_lib.h``; ``docs/voices.md`` for the format of voice variants.
"""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 22_050

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8, _PHONEMES = 1, 0x100
_RATE, _PITCH, _RANGE = 1, 3, 4
_VARIANTS = Path("voices") / "!v"

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakError(Exception):
    """eSpeak NG refused a call; the message says which."""


class Espeak:
    """The eSpeak NG of this process; use it as a context, and only one at a time.

    It works on a folder of links to the wheel's data, so that voice variants of one's own can stand
    beside those that eSpeak brings.
    """

    def __init__(self, seed: int) -> None:
        import espeakng_loader

        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._folder = tempfile.TemporaryDirectory(prefix="espeak-")
        data = Path(self._folder.name) / "espeak-ng-data"
        _link_data(Path(espeakng_loader.get_data_path()), data)
        self._variants = data / _VARIANTS
        self._pieces: list[bytes] = []
        self._callback = _Callback(self._collect)
        rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, str(data).encode(), _INITIALIZE_DONT_EXIT
        )
        if rate != SAMPLE_RATE:
            raise EspeakError(f"eSpeak NG did not start (espeak_Initialize gave {rate})")
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def __enter__(self) -> Espeak:
        return self

    def __exit__(self, *exc: object) -> None:
        self._library.espeak_Terminate()
        self._folder.cleanup()

    def set_voice(self, language: str, variant: str = "", definition: str = "") -> None:
        """Chooses an accent and, with `variant`, a voice to speak it in.

        Args:
            language: an eSpeak voice such as ``en-us`` or ``gmw/en-GB-scotland``.
            variant: name of a variant; one of eSpeak's own if `definition` is empty.
            definition: the text of a variant file (``docs/voices.md``), kept under `variant`.
        """
        if definition:
            (self._variants / variant).write_text(definition, encoding="ascii")
        name = f"{language}+{variant}" if variant else language
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise EspeakError(f"eSpeak NG has no voice {name!r}")

    def say(
        self, text: str, *, words_per_minute: int, pitch: int, intonation: int
    ) -> npt.NDArray[np.int16]:
        """Speaks `text`; gives mono samples at `SAMPLE_RATE`.

        Args:
            text: what to say; punctuation steers the melody, and ``[[...]]`` gives phonemes.
            words_per_minute: speed, 80 to 450.
            pitch: 0 to 100, within the voice's own range.
            intonation: how far the pitch moves, 0 to 100.
        """
        for parameter, value in (
            (_RATE, words_per_minute),
            (_PITCH, pitch),
            (_RANGE, intonation),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        encoded = text.encode()
        status = self._library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, 0, 0, _CHARS_UTF8 | _PHONEMES, None, None
        )
        if status != 0:
            raise EspeakError(f"eSpeak NG could not say {text!r} (status {status})")
        self._library.espeak_Synchronize()
        return np.frombuffer(b"".join(self._pieces), np.int16)

    def phonemes(self, text: str) -> str:
        """How the current voice pronounces `text`, in eSpeak's ASCII phoneme names."""
        pointer = ctypes.c_char_p(text.encode())
        clauses = []
        while pointer.value:
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(pointer), _CHARS_UTF8, 0)
            clauses.append((clause or b"").decode("ascii", "replace"))
        return " ".join(clauses).strip()

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, count * 2))
        return 0


def _link_data(source: Path, data: Path) -> None:
    """Makes `data` a folder of links to `source` whose folder of variants is a real one."""
    (data / _VARIANTS).mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name != _VARIANTS.parts[0]:
            (data / entry.name).symlink_to(entry)
    for entry in (source / _VARIANTS).iterdir():
        (data / _VARIANTS / entry.name).symlink_to(entry)

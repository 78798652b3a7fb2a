"""English as other tongues say it: the sounds of a word, put into those that a language has.

eSpeak speaks phonemes given in ``[[...]]`` with the sounds of the chosen voice's language. A
learner falls back on the five vowels that nearly every language has, and says English diphthongs as
two.
"""

from __future__ import annotations

import re

FOREIGN = ("de", "nl", "sv", "da", "es", "it", "pt", "pl", "ru", "tr", "hi", "ta", "id", "cs")

_VOWELS = {
    **dict.fromkeys(("A:", "aa", "a#", "a", "V"), "a"),
    **dict.fromkeys(("E", "@", "@2", "@5"), "e"),
    **dict.fromkeys(("I", "I2", "I#", "i", "i:"), "i"),
    **dict.fromkeys(("0", "O:", "O2", "O"), "o"),
    **dict.fromkeys(("U", "u:", "u"), "u"),
    **{"aI": "ai", "aU": "au", "eI": "ei", "oU": "ou", "OI": "oi", "@L": "el"},
    **{"A@": "ar", "O@": "or", "o@": "or", "e@": "er", "3": "er", "3:": "er"},
    **{"i@": "ier", "i@3": "ier", "aI@": "aier", "aI3": "aier", "U@": "uer", "aU@": "auer"},
}
_CONSONANTS = {"T": "t", "D": "d", "t2": "t", "?": "t", "#": "", ";": "", "-": ""}
_SOUNDS = {**_VOWELS, **_CONSONANTS}
_PATTERN = re.compile(
    "|".join(re.escape(sound) for sound in sorted(_SOUNDS, key=lambda s: (-len(s), s)))
)


def foreign(phonemes: str) -> str:
    """The phonemes of an American English word, as text for `Espeak.say` in a foreign voice."""
    return f"[[{_PATTERN.sub(lambda match: _SOUNDS[match.group()], phonemes)}]]"

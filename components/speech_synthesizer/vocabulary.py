"""Which words are said: keywords that eSpeak can say, and others that are not taken for one."""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
from collections.abc import Callable, Mapping, Sequence

from components.base import UserError

Pronounce = Callable[[str], str]

_SAYABLE = re.compile(r"[a-z0-9]+(?:['\- ][a-z0-9]+)*", re.IGNORECASE)
_MAX_KEYWORD = 40
# Stress marks, pauses, length and the digits that number allophones in eSpeak's phoneme names; the
# digits 0 and 3 are vowels.
_NOT_SOUND = re.compile(r"[',%=_:|\s#;~^!124-9\-]|\([a-z]+\)")
# Vowels that accents or careless speech merge; a word that differs from a keyword only in these
# would teach the net two answers to one sound.
_MERGED = {"A": "0", "O": "0", "a": "0", "I": "i", "V": "@", "3": "@", "E": "e"}


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words that may be said beside the keywords, and how all of them sound.

    Attributes:
        near: words for ``_unknown_`` one sound away from a keyword, the hard ones.
        far: all other words for ``_unknown_``.
        phonemes: of each word, keywords included, in American English and eSpeak's ASCII names.
    """

    near: tuple[str, ...]
    far: tuple[str, ...]
    phonemes: Mapping[str, str]


def check_keywords(keywords: Sequence[str]) -> None:
    """Refuses a list of keywords that cannot be said or told apart as folder names.

    Raises:
        UserError: it is empty, a word repeats, or a word has characters that English cannot say.
    """
    if not keywords:
        raise UserError('there are no keywords: name some, as in --keywords "yes no"')
    for word in keywords:
        if len(word) > _MAX_KEYWORD or not _SAYABLE.fullmatch(word):
            raise UserError(
                f"the keyword {word!r} cannot be said: use English letters or digits, at most "
                f"{_MAX_KEYWORD} of them, joined by single blanks, hyphens or apostrophes"
            )
    folded = [word.lower() for word in keywords]
    for word in folded:
        if folded.count(word) > 1:
            raise UserError(f"the keyword {word!r} is there twice: name each word once")


def check_distinct(keywords: Sequence[str], pronounce: Pronounce) -> None:
    """Refuses two keywords that sound the same, which no model can tell apart.

    Raises:
        UserError: naming the two, or the keyword that eSpeak has no sound for.
    """
    said: dict[str, str] = {}
    for word in keywords:
        sound = _sound(pronounce(word.lower()))
        if not sound:
            raise UserError(f"the keyword {word!r} cannot be said: eSpeak has no sound for it")
        if sound in said:
            raise UserError(f"{said[sound]!r} and {word!r} sound the same: keep one of them")
        said[sound] = word


def bundled_words() -> tuple[str, ...]:
    """The package's list of common English words, in its order."""
    file = importlib.resources.files(__package__).joinpath("words.txt")
    return tuple(file.read_text(encoding="ascii").split())


def vocabulary(keywords: Sequence[str], pronounce: Pronounce) -> Vocabulary:
    """The keywords, and the bundled words that differ audibly from each of them.

    Args:
        keywords: the words to spot.
        pronounce: gives a word's phonemes in eSpeak's ASCII names.
    """
    spellings = {word.lower() for word in keywords}
    targets = [_sound(pronounce(word)) for word in sorted(spellings)]
    merged = {_merge(target) for target in targets}
    near: list[str] = []
    far: list[str] = []
    for word in bundled_words():
        sound = _sound(pronounce(word))
        if word in spellings or _merge(sound) in merged:
            continue
        limit = 1 if len(sound) < 5 else 2
        distance = min(_edits(_merge(sound), target) for target in merged)
        (near if distance <= limit else far).append(word)
    said = {word: pronounce(word.lower()) for word in [*keywords, *near, *far]}
    return Vocabulary(near=tuple(near), far=tuple(far), phonemes=said)


def _sound(phonemes: str) -> str:
    return _NOT_SOUND.sub("", phonemes)


def _merge(sound: str) -> str:
    return "".join(_MERGED.get(symbol, symbol) for symbol in sound)


def _edits(a: str, b: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y)),
            )
    return row[-1]

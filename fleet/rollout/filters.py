"""Filters on what a device says of itself: ``hardware=pi-4 region=eu-*``.

Terms are parted by spaces, and all must hold. ``NAME=PATTERN`` holds if the attribute is there and
matches the pattern, in which ``*`` stands for any characters; ``NAME!=PATTERN`` holds if it does not.
``id`` is the device's own id.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from fleet.rollout.errors import PlanError

MAX_LENGTH = 1000
_TERM = re.compile(r"([A-Za-z0-9_.:-]{1,64})(!?=)(\S{1,200})")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Term:
    """One condition.

    Attributes:
        name: of the attribute; ``id`` for the device's id.
        wanted: whether it must match.
        parts: what the stars of the pattern part.
        regex: the pattern.
    """

    name: str
    wanted: bool
    parts: tuple[str, ...]
    regex: re.Pattern[str]


@dataclasses.dataclass(frozen=True)
class Filter:
    """A filter that was read: all its terms must hold."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Reads a filter; an empty one has no terms.

        Raises:
            PlanError: if a term is malformed, or the text is too long.
        """
        if len(text) > MAX_LENGTH:
            raise PlanError(f"filter: longer than {MAX_LENGTH} characters")
        terms = []
        for word in text.split():
            match = _TERM.fullmatch(word)
            if match is None:
                raise PlanError(f"filter: {word[:80]!r} is not of the form NAME=PATTERN")
            name, sign, pattern = match.groups()
            # Neighbouring stars are one: many of them would make the match slow.
            parts = re.sub(r"\*+", "*", pattern).split("*")
            if len(parts) > 9:
                raise PlanError(f"filter: {word[:80]!r} has more than 8 stars")
            regex = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
            terms.append(Term(name=name, wanted=sign == "=", parts=tuple(parts), regex=regex))
        return cls(tuple(terms))

    def holds(self, device: str, attributes: Mapping[str, str]) -> bool:
        """Whether a device with this id and these attributes passes."""
        return all(
            _matches(term.regex, device if term.name == "id" else attributes.get(term.name))
            == term.wanted
            for term in self.terms
        )


def _matches(pattern: re.Pattern[str], value: str | None) -> bool:
    return value is not None and pattern.fullmatch(value) is not None

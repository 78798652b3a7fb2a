"""Semantic versions (semver.org 2.0.0) of releases: ``MAJOR.MINOR.PATCH[-PRERELEASE]``.

Build metadata (``+...``) is refused: it has no place in the order, so two releases could tie.
"""

from __future__ import annotations

import dataclasses
import re

from fleet.repository.errors import ReleaseError

_NUMBER = r"(0|[1-9]\d{0,8})"
_IDENTIFIER = r"(?:0|[1-9]\d{0,8}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?", re.ASCII
)
_MAX_LENGTH = 64

_Order = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


@dataclasses.dataclass(frozen=True)
class Version:
    """A semantic version; `order` sorts as semver.org section 11 says."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    @property
    def order(self) -> _Order:
        """The key to sort by; a pre-release stands before its release."""
        identifiers = tuple(
            (False, int(part), "") if part.isdigit() else (True, 0, part)
            for part in self.prerelease.split(".")
        )
        return self.major, self.minor, self.patch, not self.prerelease, identifiers

    def next_patch(self) -> Version:
        """The version after this one; a pre-release is followed by its release."""
        patch = self.patch if self.prerelease else self.patch + 1
        return Version(self.major, self.minor, patch)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (
            f"-{self.prerelease}" if self.prerelease else ""
        )


FIRST = Version(1, 0, 0)


def parse(text: str) -> Version:
    """Reads a semantic version.

    Raises:
        ReleaseError: if it is not one.
    """
    match = _VERSION.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        raise ReleaseError(f"version {text[:80]!r} is not of the form 1.2.3 or 1.2.3-rc.1")
    major, minor, patch, prerelease = match.groups()
    return Version(int(major), int(minor), int(patch), prerelease or "")

"""What the readers of sources ask of a stream of bytes: less than a file has."""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """A stream that is read from front to back."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes; none at the end alone."""
        ...

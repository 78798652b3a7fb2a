"""One picture as a record: the file as found, and what is in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from components.records import decode_record, read_decoded


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureExample:
    """One picture.

    Attributes:
        image: the bytes of the file, so that Transform decodes what the device would.
        label: its folder's name.
        speaker: what it must not be torn from by a split (one person, thing or place); empty if the
            name of the file does not say.
        path: the file, relative to the pictures.
        digest: SHA-256 of the file, hex.
        decoded_digest: SHA-256 of its pixels and their shape, hex.
        height: its rows.
        width: its columns.
        colours: 1 or 3.
        brightness: mean of its values, 0 to 1.
        contrast: their standard deviation, 0 to 0.5.
    """

    image: bytes
    label: str
    speaker: str
    path: str
    digest: str
    decoded_digest: str
    height: int
    width: int
    colours: int
    brightness: float
    contrast: float


def read_pictures(path: Path) -> Iterator[PictureExample]:
    """Yields the pictures of one shard in order.

    Raises:
        RecordError: if the shard is damaged; see `components.records.read_decoded`.
    """
    return read_decoded(path, lambda data: decode_record(PictureExample, data))

"""What is looked for in a folder of pictures, and the record of one.

The layout is that of recordings (`components.example_gen.discovery`): one folder a label, optional lists.
What a picture must not be torn from by a split is told by its name alone: of
``cup/kitchen_nohash_3.png`` it is ``kitchen``. A picture without ``_nohash_`` stands for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from components.example_gen.discovery import Medium, Recording, is_named, recording
from components.example_gen.plan import Clip, Entry
from components.example_gen.problems import BadRecording, Problem
from components.picture_records import PictureExample
from edge_agent.sources.picture import PictureError, decode_picture, picture_bytes


def named(path: str) -> Recording:
    """The picture at the relative `path`, by its name alone."""
    if is_named(path):
        return recording(path)
    return Recording(path=path, label=PurePosixPath(path).parts[0], speaker="")


PICTURES = Medium(
    extensions=frozenset({".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".npy"}),
    kinds="png, jpg, bmp, pgm, ppm or npy",
    noun="pictures",
    such_as="cat/tom.png",
    named=named,
)


def pictures_of(root: Path, entry: Entry) -> Iterator[PictureExample]:
    """The one picture of `entry`.

    Raises:
        BadRecording: if it cannot be used.
    """
    assert isinstance(entry, Clip)
    path = str(root / entry.name)
    try:
        data = picture_bytes(path)
        pixels = decode_picture(data, path)
    except PictureError as e:
        what, _, advice = str(e).removeprefix(f"{path}: ").rpartition(": ")
        raise BadRecording(Problem(entry.name, what, advice)) from e
    values = pixels.astype(np.float32) / np.float32(255)
    yield PictureExample(
        image=data,
        label=entry.label,
        speaker=entry.speaker,
        path=entry.name,
        digest=hashlib.sha256(data).hexdigest(),
        decoded_digest=hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        colours=pixels.shape[2],
        brightness=round(float(values.mean(dtype=np.float64)), 6),
        contrast=round(float(values.std(dtype=np.float64)), 6),
    )

"""What Transform makes of one shard, as a file, and the join of those files to the arrays of a split."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The rows that came of one shard and the clips that they show.

    Attributes:
        codes: int8, shape (rows, frames, channels), or (rows, ...) of pictures.
        label: int32, one a row.
        clip: which clip of the part a row shows; negative for none.
        view: int32, one a row.
        speakers: of each clip.
        paths: of each clip.
        digests: of each clip's recording.
    """

    codes: npt.NDArray[np.int8]
    label: Ints
    clip: Ints
    view: Ints
    speakers: list[str]
    paths: list[str]
    digests: list[str]

    def digest(self) -> str:
        """SHA-256 over all of it, hex."""
        total = hashlib.sha256(str(self.codes.shape).encode())
        total.update(np.ascontiguousarray(self.codes).data)
        for array in (self.label, self.clip, self.view):
            total.update(np.ascontiguousarray(array, "<i4").data)
        total.update(json.dumps([self.speakers, self.paths, self.digests]).encode())
        return total.hexdigest()


def save_part(path: Path, part: Part) -> None:
    """Writes `part` aside and renames it to `path`."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with aside.open("wb") as file:
        np.savez(file, **vars(part))
    os.replace(aside, path)


def load_part(path: Path) -> Part:
    """The part that `save_part` wrote to `path`."""
    with np.load(path, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    for name in ("speakers", "paths", "digests"):
        values[name] = values[name].tolist()
    return Part(**values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
    """Of each clip of a split: who speaks, the recording's path and its digest."""

    speakers: list[str]
    paths: list[str]
    digests: list[str]


def join_parts(
    folder: Path, split: str, parts: Iterable[Part], rows: int, shape: tuple[int, ...]
) -> Joined:
    """Writes ``<split>.codes.npy`` and ``<split>.index.npz``, with one part in memory at a time.

    Args:
        folder: where to.
        split: the name.
        parts: in order.
        rows: of all parts together.
        shape: of a row: frames and channels, or as a picture.
    """
    index: dict[str, list[Ints]] = {"label": [], "clip": [], "view": []}
    joined = Joined(speakers=[], paths=[], digests=[])
    with (folder / f"{split}.codes.npy").open("wb") as file:
        header = {"descr": "|i1", "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part.codes).data)
            index["label"].append(part.label)
            clip = np.where(part.clip >= 0, part.clip + len(joined.paths), part.clip)
            index["clip"].append(clip.astype(np.int32))
            index["view"].append(part.view)
            joined.speakers.extend(part.speakers)
            joined.paths.extend(part.paths)
            joined.digests.extend(part.digests)
    arrays = {key: np.concatenate([np.zeros(0, np.int32), *v]) for key, v in index.items()}
    np.savez(folder / f"{split}.index.npz", **arrays)
    return joined

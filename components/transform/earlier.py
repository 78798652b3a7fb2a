"""The parts of an earlier Features artifact that still hold."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import read_json
from components.base import warn
from components.transform.parts import Ints, Part

_DAMAGE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What ``features.json`` says of the part that one shard of the examples gave.

    Attributes:
        file: the shard's name.
        examples: digest of the shard, hex (`components.members.ShardMembers`).
        context: digest of all else that decides the part: parameters, labels, views, noise.
        clips: how many it shows.
        rows: how many it has.
        digest: `Part.digest`.
    """

    file: str
    examples: str
    context: str
    clips: int
    rows: int
    digest: str


class EarlierFeatures:
    """Finds parts in an earlier artifact; those that are damaged are not found.

    Args:
        folder: the artifact.
    """

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, tuple[_Arrays, int, int, ShardRecord]] = {}
        try:
            splits = read_json(folder / "features.json")["splits"]
            for split, described in splits.items():
                arrays = _Arrays(folder, split, described)
                row = clip = 0
                for content in described["shards"]:
                    record = ShardRecord(**content)
                    self._places[record.file] = (arrays, row, clip, record)
                    row, clip = row + record.rows, clip + record.clips
        except _DAMAGE as e:
            warn(f"{folder}: cannot be read ({e}): all features are computed anew")
            self._places = {}

    def find(self, file: str, examples: str, context: str) -> ShardRecord | None:
        """The record of the part made from these, if it is there and whole."""
        if file not in self._places:
            return None
        record = self._places[file][-1]
        if (record.examples, record.context) != (examples, context):
            return None
        if not record.rows:
            return record
        try:
            return record if self.part(record).digest() == record.digest else None
        except _DAMAGE:
            return None

    def part(self, record: ShardRecord) -> Part:
        """The part of a record that `find` gave; its codes are memory-mapped."""
        arrays, row, clip, _ = self._places[record.file]
        return arrays.part(slice(row, row + record.rows), slice(clip, clip + record.clips))


class _Arrays:
    """The arrays of one split, and what ``features.json`` says of it."""

    def __init__(self, folder: Path, split: str, described: dict[str, Any]) -> None:
        self._described = described
        self._codes = np.load(folder / f"{split}.codes.npy", mmap_mode="r", allow_pickle=False)
        with np.load(folder / f"{split}.index.npz", allow_pickle=False) as index:
            self._index: dict[str, Ints] = {key: index[key] for key in ("label", "clip", "view")}

    def part(self, rows: slice, clips: slice) -> Part:
        shown = self._index["clip"][rows]
        return Part(
            codes=self._codes[rows],
            label=self._index["label"][rows],
            clip=np.where(shown >= 0, shown - clips.start, shown).astype(np.int32),
            view=self._index["view"][rows],
            speakers=self._described["speakers"][clips],
            paths=self._described["paths"][clips],
            digests=self._described["digests"][clips],
        )

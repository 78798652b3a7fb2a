"""The recordings of a run in numbers, as rows for the template."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from pipeline.ui.figures import duration, number

_SPLITS = ("train", "val", "test", "noise")
_MOST_COPIES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipTable:
    """How many clips there are of each label in each split.

    Attributes:
        splits: names of the columns.
        rows: (label, clips by split).
        totals: clips by split.
        speakers: speakers by split.
        split_by: how the recordings were split.
    """

    splits: list[str]
    rows: list[tuple[str, list[str]]]
    totals: list[str]
    speakers: list[str]
    split_by: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelRow:
    """The recordings of one split as they were found.

    Attributes:
        split: which split.
        length: all of them end to end.
        range: shortest to longest.
        loudness: RMS of the quietest and of the loudest, dB of full scale.
        clipped: how many have samples at full scale.
        quiet: how many are quiet throughout.
        dc_offset: mean magnitude of the offset, share of full scale.
        rates: sample rates.
    """

    split: str
    length: str
    range: str
    loudness: str
    clipped: str
    quiet: str
    dc_offset: str
    rates: str


def clip_table(examples: Mapping[str, Any]) -> ClipTable:
    """The counts of examples.json."""
    splits = [split for split in _SPLITS if split in examples["splits"]]
    found = [examples["splits"][split] for split in splits]
    return ClipTable(
        splits=splits,
        rows=[
            (label, [number(split["labels"].get(label, 0)) for split in found])
            for label in examples["labels"]
        ],
        totals=[number(split["clips"]) for split in found],
        speakers=[number(split["speakers"]) for split in found],
        split_by=examples["split_by"],
    )


def level_table(statistics: Mapping[str, Any]) -> list[LevelRow]:
    """How long and how loud the recordings of each split are, from statistics.json; none of pictures."""
    if "sample_rate" not in statistics:
        return []
    splits = statistics["splits"]
    return [_levels(split, splits[split]["all"]) for split in _SPLITS if split in splits]


def copies(statistics: Mapping[str, Any]) -> list[list[str]]:
    """The paths of recordings with the same sound, a list a sound, at most the first 20."""
    found = statistics["duplicates"][:_MOST_COPIES]
    return [[f"{clip['path']} ({clip['split']})" for clip in clips] for clips in found]


def _levels(split: str, slice_: Mapping[str, Any]) -> LevelRow:
    clips = slice_["clips"]
    return LevelRow(
        split=split,
        length=duration(slice_["seconds"]),
        range=f"{slice_['shortest'][0]:.2f} to {slice_['longest'][0]:.2f} s",
        loudness=f"{_decibels(slice_['quietest_rms'][0])} to {_decibels(slice_['loudest_rms'][0])}",
        clipped=number(slice_["clipped_clips"]),
        quiet=number(slice_["quiet_clips"]),
        dc_offset=number(round(slice_["dc_offset"] / max(1, clips), 5)),
        rates=", ".join(f"{number(int(rate))} Hz" for rate in slice_["source_rates"]),
    )


def _decibels(level: float) -> str:
    return f"{20 * math.log10(level):.0f} dB" if level > 0 else "silent"

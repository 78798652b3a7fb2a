"""Which clip goes into which shard, decided before a recording is opened.

A shard is chosen by the SHA-256 of the clip's name and holds its clips sorted by name, so shards
are the same on every machine and runner. What a keyword model needs and the recordings lack is
planned here too: ``_silence_`` and ``_unknown_`` clips, as many in each split as it has clips of a
keyword on average (see `components.example_gen.made`).
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from components.example_gen.discovery import Recording
from components.records import BACKGROUND_NOISE, NOISE, SPLITS
from edge_agent.bundle.manifest import SILENCE, UNKNOWN

MADE = "synthesised:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip to be made from one recording."""

    name: str
    label: str
    speaker: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseRecording:
    """A long recording to be cut into pieces."""

    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeSilence:
    """A ``_silence_`` clip, to be cut from the noise recording `source`, or generated if empty."""

    name: str
    split: str
    source: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeUnknown:
    """An ``_unknown_`` clip to be made of pieces of two recordings of one speaker."""

    name: str
    speaker: str
    sources: tuple[str, str]


Entry = Clip | NoiseRecording | MadeSilence | MadeUnknown


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file to be written: shard `index` of `count` of `split`, with its entries in order."""

    split: str
    index: int
    count: int
    entries: tuple[Entry, ...]


def entries_by_split(
    recordings: Sequence[Recording], split_of: Mapping[str, str], noise: Sequence[str]
) -> dict[str, list[Entry]]:
    """What each split holds, with what has to be made for it."""
    entries: dict[str, list[Entry]] = {split: [] for split in (*SPLITS, NOISE)}
    entries[NOISE] += [NoiseRecording(name=path) for path in noise]
    labels = {recording.label for recording in recordings}
    for split in SPLITS:
        members = [r for r in recordings if split_of[r.path] == split]
        entries[split] += [Clip(name=r.path, label=r.label, speaker=r.speaker) for r in members]
        spoken = [r for r in members if r.label not in (SILENCE, UNKNOWN)]
        count = max(1, round(len(spoken) / max(1, len({r.label for r in spoken}))))
        if SILENCE not in labels:
            entries[split] += _silence(split, count, noise)
        if UNKNOWN not in labels and spoken:
            entries[split] += _unknown(split, count, spoken)
    return entries


def to_shards(entries: Mapping[str, Sequence[Entry]], shards: int, most: int) -> list[Shard]:
    """`entries` (by split) in shards: `shards` of them for train, a quarter for the others.

    Their number doubles as often as a shard would hold more than `most` entries on average, so that
    it rarely changes while recordings are added: each change moves entries from all shards.
    """
    made = []
    for split, members in entries.items():
        count = shards if split == "train" else -(-shards // 4)
        while len(members) > count * most:
            count *= 2
        buckets: list[list[Entry]] = [[] for _ in range(count)]
        for entry in members:
            buckets[stable_hash(entry.name) % count].append(entry)
        made += [
            Shard(
                split=split,
                index=index,
                count=count,
                entries=tuple(sorted(bucket, key=lambda entry: entry.name)),
            )
            for index, bucket in enumerate(buckets)
        ]
    return made


def label_of(entry: Entry) -> str:
    """The label of what comes of `entry`."""
    match entry:
        case Clip():
            return entry.label
        case NoiseRecording():
            return BACKGROUND_NOISE
        case MadeSilence():
            return SILENCE
        case MadeUnknown():
            return UNKNOWN


def sources_of(entry: Entry) -> tuple[str, ...]:
    """Paths of the recordings that `entry` is made of."""
    match entry:
        case Clip() | NoiseRecording():
            return (entry.name,)
        case MadeSilence():
            return (entry.source,) if entry.source else ()
        case MadeUnknown():
            return entry.sources


def speaker_of(entry: Entry) -> str:
    """Who speaks in what comes of `entry`; empty where nobody does."""
    return entry.speaker if isinstance(entry, Clip | MadeUnknown) else ""


def stable_hash(text: str) -> int:
    """64 bits of the SHA-256 of `text`."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _silence(split: str, count: int, noise: Sequence[str]) -> list[Entry]:
    return [
        MadeSilence(
            name=f"{MADE}{SILENCE}/{split}-{index:05d}",
            split=split,
            source=noise[index % len(noise)] if noise else "",
        )
        for index in range(count)
    ]


def _unknown(split: str, count: int, spoken: Sequence[Recording]) -> list[Entry]:
    ordered = sorted(spoken, key=lambda r: (stable_hash(r.path), r.path))
    places = [stable_hash(r.path) for r in ordered]
    by_speaker: dict[str, list[Recording]] = defaultdict(list)
    for recording in ordered:
        by_speaker[recording.speaker].append(recording)
    entries: list[Entry] = []
    for index in range(count):
        name = f"{MADE}{UNKNOWN}/{split}-{index:05d}"
        # The next on the ring of hashes: one recording more or less changes few of the others' clips.
        first = ordered[bisect.bisect(places, stable_hash(name)) % len(ordered)]
        others = [r for r in by_speaker[first.speaker] if r.label != first.label]
        second = others[index % len(others)] if others else first
        entries.append(
            MadeUnknown(
                name=name,
                speaker=first.speaker,
                sources=(first.path, second.path),
            )
        )
    return entries

"""One shard of ExampleGen: written anew, or taken over from an earlier artifact."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from components.example_gen.decoding import ClipFormat, decode_clip, file_digest, noise_pieces
from components.example_gen.made import make_silence, make_unknown
from components.example_gen.plan import (
    Clip,
    Entry,
    MadeSilence,
    MadeUnknown,
    NoiseRecording,
    Shard,
    label_of,
    sources_of,
    speaker_of,
)
from components.example_gen.problems import BadRecording, Problem
from components.members import Member, ShardMembers, link_or_copy, shard_digest
from components.records import Example, encode_record, shard_name
from components.tfrecord import RecordError, read_checksums, write_records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Earlier:
    """A shard of an earlier artifact; see `ShardMembers`."""

    path: Path
    digest: str
    made_from: str
    labels: Mapping[str, int]


class Made(Protocol):
    """A record: a frozen dataclass for `components.records.encode_record`, with at least these."""

    @property
    def label(self) -> str:
        """Its label."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the file that it was made of, hex."""
        ...


Make = Callable[[Path, Entry], Iterator[Made]]
"""Makes the records of an entry of the recordings in a folder; a module's function, or a partial of one."""


def make_shard(
    root: Path, folder: Path, make: Make, element: tuple[Shard, Earlier | None]
) -> dict[str, Any]:
    """Puts a shard of the recordings in `root` into `folder`; gives its members as JSON.

    If the earlier shard holds the same clips of the same bytes, it is taken over: ``made`` is false
    then. A recording that cannot be used is left out and told of under ``problems``; the run fails
    then.
    """
    shard, earlier = element
    path = folder / shard_name(shard.split, shard.index, shard.count)
    contents = _Contents()
    if earlier is not None and _take_over(root, path, shard.entries, earlier, contents):
        members = contents.members(path.name, earlier.digest, earlier.labels)
        return {"members": members.to_json(), "problems": [], "made": False}
    contents = _Contents()
    labels: Counter[str] = Counter()
    problems: list[Problem] = []

    def records() -> Iterator[bytes]:
        for entry in shard.entries:
            try:
                for example in make(root, entry):
                    labels[example.label] += 1
                    yield encode_record(example)
                contents.add(entry, _digests(root, entry, example))
            except BadRecording as e:
                problems.append(e.problem)

    checksums = write_records(path, records())  # fills `contents`
    digest = shard_digest(contents.made_from, checksums)
    return {
        "members": contents.members(path.name, digest, labels).to_json(),
        "problems": [dataclasses.astuple(problem) for problem in problems],
        "made": True,
    }


def examples_of(form: ClipFormat, root: Path, entry: Entry) -> Iterator[Example]:
    """The clips that come of `entry`: one, or the pieces of a noise recording.

    Raises:
        BadRecording: if its recording cannot be used.
    """
    match entry:
        case Clip():
            yield decode_clip(root, entry.name, entry.label, entry.speaker, form)
        case NoiseRecording():
            yield from noise_pieces(root, entry.name, form)
        case MadeSilence():
            yield make_silence(root, entry, form)
        case MadeUnknown():
            yield make_unknown(root, entry, form)


class _Contents:
    """What a shard is made of, entry by entry."""

    def __init__(self) -> None:
        self._made_from = hashlib.sha256()
        self._recordings: list[Member] = []

    def add(self, entry: Entry, digests: Sequence[str]) -> None:
        """Takes in `entry`, whose sources have `digests`."""
        named = (type(entry).__name__, entry.name, label_of(entry), speaker_of(entry))
        self._made_from.update(json.dumps([named, sources_of(entry), digests]).encode())
        if isinstance(entry, Clip | NoiseRecording):
            self._recordings.append(
                Member(
                    path=entry.name,
                    digest=digests[0],
                    label=label_of(entry),
                    speaker=speaker_of(entry),
                )
            )

    @property
    def made_from(self) -> str:
        return self._made_from.hexdigest()

    def members(self, file: str, digest: str, labels: Mapping[str, int]) -> ShardMembers:
        return ShardMembers(
            file=file,
            digest=digest,
            made_from=self.made_from,
            labels=labels,
            recordings=tuple(self._recordings),
        )


def _digests(root: Path, entry: Entry, made: Made) -> list[str]:
    if isinstance(entry, Clip | NoiseRecording):
        return [made.digest]
    return [file_digest(root, source) for source in sources_of(entry)]


def _take_over(
    root: Path, path: Path, entries: Sequence[Entry], earlier: Earlier, contents: _Contents
) -> bool:
    """Links the earlier shard as `path`, if it is whole and made from the same; fills `contents`."""
    try:
        for entry in entries:
            contents.add(entry, [file_digest(root, source) for source in sources_of(entry)])
    except BadRecording:
        return False
    if contents.made_from != earlier.made_from:
        return False
    try:
        link_or_copy(earlier.path, path)
        return shard_digest(contents.made_from, read_checksums(path)) == earlier.digest
    except (FileNotFoundError, RecordError):
        return False  # what cannot be trusted is written anew, over it

"""The executor of ExampleGen: discovers, divides, writes the shards with Beam, sums up."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from components.artifacts import write_json
from components.base import Inputs, Metrics, Outputs, warn
from components.beam_shards import run_shards
from components.example_gen.component import ExampleGenParameters
from components.example_gen.decoding import (
    ClipFormat,
    decode_clip,
    file_digest,
    noise_pieces,
)
from components.example_gen.discovery import Found, discover
from components.example_gen.made import make_silence, make_unknown
from components.example_gen.plan import (
    MADE,
    Clip,
    Entry,
    MadeSilence,
    MadeUnknown,
    NoiseRecording,
    Shard,
    entries_by_split,
    label_of,
    sources_of,
    speaker_of,
    to_shards,
)
from components.example_gen.problems import BadRecording, Problem, user_error
from components.example_gen.splits import Division, by_lists, by_speaker, check_labels
from components.members import Member, ShardMembers, digest_of, write_members
from components.records import NOISE, SPLITS, Example, encode_example, shard_name
from components.tfrecord import write_records
from edge_agent.bundle.manifest import SILENCE, UNKNOWN


def execute(inputs: Inputs, outputs: Outputs, parameters: ExampleGenParameters) -> Metrics:
    """Makes the Examples artifact.

    Raises:
        UserError: naming everything that is wrong with the recordings.
    """
    root, folder = inputs["recordings"].resolve(), outputs["examples"].resolve()
    found = discover(root)
    division = _divide(found, parameters)
    problems = [*found.problems, *check_labels(found.recordings)]
    if not problems:
        problems += division.problems
    entries = entries_by_split(found.recordings, division.split_of, found.noise)
    form = ClipFormat(
        sample_rate=parameters.sample_rate,
        clip_samples=parameters.clip_samples,
        longest_seconds=parameters.longest_seconds,
    )
    shards = to_shards(entries, parameters.shards)
    summaries = run_shards(
        functools.partial(write_shard, root, folder, form),
        shards,
        folder=folder,
        beam_options=parameters.beam_options,
        weights=[len(shard.entries) for shard in shards],
        unit="recordings",
    )
    totals = _Totals(problems)
    write_members(folder, totals.members(zip(shards, summaries, strict=True)))
    if problems:
        raise user_error(root, problems)
    splits = totals.splits()
    write_json(
        folder / "examples.json",
        {
            "sample_rate": parameters.sample_rate,
            "clip_samples": parameters.clip_samples,
            "labels": sorted({label_of(entry) for split in SPLITS for entry in entries[split]}),
            "splits": splits,
            "split_by": "speaker hash" if found.listed is None else "lists",
        },
    )
    _warn(root, found, division, entries)
    return {f"{split}_clips": float(splits[split]["clips"]) for split in (*SPLITS, NOISE)}


def write_shard(root: Path, folder: Path, form: ClipFormat, shard: Shard) -> dict[str, Any]:
    """Writes one shard of the recordings in `root` into `folder`; gives its members as JSON.

    A recording that cannot be used is left out and told of under ``problems``; the run fails then.
    """
    labels: Counter[str] = Counter()
    recordings: list[Member] = []
    problems: list[Problem] = []
    made_from = hashlib.sha256()

    def records() -> Iterator[bytes]:
        for entry in shard.entries:
            try:
                for example in examples_of(root, entry, form):
                    labels[example.label] += 1
                    yield encode_example(example)
            except BadRecording as e:
                problems.append(e.problem)
                continue
            digests = [example.digest]
            if isinstance(entry, Clip | NoiseRecording):
                recordings.append(
                    Member(
                        path=entry.name,
                        digest=example.digest,
                        label=label_of(entry),
                        speaker=speaker_of(entry),
                    )
                )
            else:
                digests = [file_digest(root, source) for source in sources_of(entry)]
            made_from.update(f"{entry} {digests}\n".encode())

    path = folder / shard_name(shard.split, shard.index, shard.count)
    write_records(path, records())
    members = ShardMembers(
        file=path.name,
        digest=digest_of(path),
        made_from=made_from.hexdigest(),
        labels=labels,
        recordings=tuple(recordings),
    )
    return {
        "members": members.to_json(),
        "problems": [dataclasses.astuple(problem) for problem in problems],
    }


def examples_of(root: Path, entry: Entry, form: ClipFormat) -> Iterator[Example]:
    """The examples that come of `entry`: one, or the pieces of a noise recording.

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


def _divide(found: Found, parameters: ExampleGenParameters) -> Division:
    if found.listed is not None:
        return by_lists(found.recordings, found.listed)
    return by_speaker(
        found.recordings,
        val_percent=parameters.val_percent,
        test_percent=parameters.test_percent,
    )


class _Totals:
    """Counts the shards as they pass, and gathers their problems into `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._speakers: dict[str, set[str]] = defaultdict(set)

    def members(self, made: Iterable[tuple[Shard, Any]]) -> Iterator[ShardMembers]:
        """Yields the members of each shard, given what `write_shard` gave for it."""
        for shard, summary in made:
            members = ShardMembers.from_json(summary["members"])
            self._problems += [Problem(*problem) for problem in summary["problems"]]
            self._labels[shard.split].update(members.labels)
            self._speakers[shard.split].update(map(speaker_of, shard.entries))
            yield members

    def splits(self) -> dict[str, Any]:
        """What ``examples.json`` says of each split."""
        return {
            split: {
                "clips": self._labels[split].total(),
                "labels": dict(self._labels[split]),
                "speakers": len(self._speakers[split] - {""}),
            }
            for split in (*SPLITS, NOISE)
        }


def _warn(root: Path, found: Found, division: Division, entries: dict[str, list[Entry]]) -> None:
    for warning in found.warnings:
        warn(warning)
    if division.moved:
        warn(
            f"{root}: few speakers: {division.moved} were moved to another split so that every "
            "label is in each; splits may change when recordings are added"
        )
    made = Counter(
        label_of(entry)
        for split in SPLITS
        for entry in entries[split]
        if entry.name.startswith(MADE)
    )
    if made[SILENCE]:
        origin = "cut from the noise recordings" if found.noise else "generated noise"
        warn(f"{root}: no {SILENCE} folder: {made[SILENCE]} clips of it are {origin}")
    if made[UNKNOWN]:
        warn(
            f"{root}: no {UNKNOWN} folder: {made[UNKNOWN]} clips of it are made of reversed pieces "
            "of the keywords; recordings of other words would serve better"
        )

"""The executor of ExampleGen: discovers, divides, writes the shards with Beam, sums up."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from components.artifacts import write_json
from components.base import PREVIOUS, Inputs, Metrics, Outputs, warn
from components.beam_shards import run_shards
from components.example_gen.component import ExampleGenParameters
from components.example_gen.decoding import ClipFormat
from components.example_gen.discovery import Found, discover
from components.example_gen.plan import (
    MADE,
    Entry,
    Shard,
    entries_by_split,
    label_of,
    speaker_of,
    to_shards,
)
from components.example_gen.problems import Problem, user_error
from components.example_gen.shard import Earlier, make_shard
from components.example_gen.splits import Division, by_lists, by_speaker, check_labels
from components.members import ShardMembers, read_members, write_members
from components.records import NOISE, SPLITS, shard_name
from edge_agent.bundle.manifest import SILENCE, UNKNOWN


def execute(inputs: Inputs, outputs: Outputs, parameters: ExampleGenParameters) -> Metrics:
    """Makes the Examples artifact; shards whose recordings are as in an earlier one are taken over.

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
    shards = to_shards(entries, parameters.shards, parameters.shard_clips)
    earlier = _earlier(inputs[PREVIOUS].resolve()) if PREVIOUS in inputs else {}
    summaries = run_shards(
        functools.partial(make_shard, root, folder, form),
        [(shard, earlier.get(_name(shard))) for shard in shards],
        folder=folder,
        reads=[root],
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
    clips = {f"{split}_clips": float(splits[split]["clips"]) for split in (*SPLITS, NOISE)}
    return {**clips, "shards": float(len(shards)), "shards_made": float(totals.made)}


def _divide(found: Found, parameters: ExampleGenParameters) -> Division:
    if found.listed is not None:
        return by_lists(found.recordings, found.listed)
    return by_speaker(
        found.recordings,
        val_percent=parameters.val_percent,
        test_percent=parameters.test_percent,
    )


def _earlier(folder: Path) -> dict[str, Earlier]:
    """The shards of an earlier artifact by file name; none if it cannot be read."""
    try:
        return {
            shard.file: Earlier(
                path=folder / shard.file,
                digest=shard.digest,
                made_from=shard.made_from,
                labels=shard.labels,
            )
            for shard in read_members(folder)
        }
    except (OSError, ValueError, KeyError, TypeError) as e:
        warn(f"{folder}: cannot be read ({e}): all shards are made anew")
        return {}


def _name(shard: Shard) -> str:
    return shard_name(shard.split, shard.index, shard.count)


class _Totals:
    """Counts the shards as they pass, and gathers their problems into `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        self.made = 0
        self._problems = problems
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._speakers: dict[str, set[str]] = defaultdict(set)

    def members(self, made: Iterable[tuple[Shard, Any]]) -> Iterator[ShardMembers]:
        """Yields the members of each shard, given what `make_shard` gave for it."""
        for shard, summary in made:
            members = ShardMembers.from_json(summary["members"])
            self.made += summary["made"]
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

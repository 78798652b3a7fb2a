"""The executor of ExampleGen: discovers, divides, writes the shards with Beam, sums up."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

from components.artifacts import write_json
from components.base import PREVIOUS, Inputs, Metrics, Outputs, warn
from components.example_gen.component import ExampleGenParameters
from components.example_gen.decoding import ClipFormat
from components.example_gen.discovery import Found, discover
from components.example_gen.plan import (
    MADE,
    Entry,
    entries_by_split,
    label_of,
    to_shards,
)
from components.example_gen.problems import user_error
from components.example_gen.shard import examples_of, make_shard
from components.example_gen.splits import Division, by_lists, by_speaker, check_labels
from components.example_gen.writing import write_shards
from components.records import NOISE, SPLITS
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
    totals = write_shards(
        functools.partial(make_shard, root, folder, functools.partial(examples_of, form)),
        shards,
        root=root,
        folder=folder,
        previous=inputs.get(PREVIOUS),
        beam_options=parameters.beam_options,
        noun="recordings",
    )
    problems += totals.problems
    if problems:
        raise user_error(root, problems)
    splits = totals.splits((*SPLITS, NOISE))
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

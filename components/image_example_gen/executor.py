"""The executor of ImageExampleGen: discovers, divides, writes the shards with Beam, sums up."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from components.artifacts import write_json
from components.base import PREVIOUS, Inputs, Metrics, Outputs, warn
from components.example_gen.discovery import Recording, discover
from components.example_gen.plan import Clip, to_shards
from components.example_gen.problems import Problem, user_error
from components.example_gen.shard import make_shard
from components.example_gen.splits import by_lists, by_speaker
from components.example_gen.writing import write_shards
from components.image_example_gen.component import ImageExampleGenParameters
from components.image_example_gen.pictures import PICTURES, pictures_of
from components.records import SPLITS


def execute(inputs: Inputs, outputs: Outputs, parameters: ImageExampleGenParameters) -> Metrics:
    """Makes the Examples artifact; shards whose pictures are as in an earlier one are taken over.

    Raises:
        UserError: naming everything that is wrong with the pictures.
    """
    root, folder = inputs["recordings"].resolve(), outputs["examples"].resolve()
    found = discover(root, PICTURES)
    problems = [*found.problems, *_check_labels(found.recordings)]
    if found.listed is not None:
        division = by_lists(found.recordings, found.listed)
        lacking = list(division.problems)
    else:
        division = by_speaker(
            found.recordings,
            val_percent=parameters.val_percent,
            test_percent=parameters.test_percent,
        )
        lacking = [_too_few(problem.where, found.recordings) for problem in division.problems]
    if not problems:
        problems += lacking
    entries = {
        split: [
            Clip(name=r.path, label=r.label, speaker=r.speaker)
            for r in found.recordings
            if division.split_of[r.path] == split
        ]
        for split in SPLITS
    }
    shards = to_shards(entries, parameters.shards, parameters.shard_pictures)
    totals = write_shards(
        functools.partial(make_shard, root, folder, pictures_of),
        shards,
        root=root,
        folder=folder,
        previous=inputs.get(PREVIOUS),
        beam_options=parameters.beam_options,
        noun="pictures",
    )
    problems += totals.problems
    if problems:
        raise user_error(root, problems, "pictures")
    splits = totals.splits(SPLITS)
    write_json(
        folder / "examples.json",
        {
            "labels": sorted({recording.label for recording in found.recordings}),
            "splits": splits,
            "split_by": "picture hash" if found.listed is None else "lists",
        },
    )
    for warning in found.warnings:
        warn(warning)
    clips = {f"{split}_clips": float(splits[split]["clips"]) for split in SPLITS}
    return {**clips, "shards": float(len(shards)), "shards_made": float(totals.made)}


def _check_labels(pictures: Sequence[Recording]) -> list[Problem]:
    labels = {picture.label for picture in pictures}
    if len(labels) >= 2:
        return []
    what = f"are of one label only ({', '.join(labels)})" if labels else "are in none of the lists"
    return [Problem("the pictures", what, "give at least two folders of pictures")]


def _too_few(where: str, pictures: Sequence[Recording]) -> Problem:
    label = where.removeprefix("label ")
    count = Counter(picture.label for picture in pictures)[label]
    groups = len({picture.group for picture in pictures if picture.label == label})
    return Problem(
        where,
        f"{count} pictures in {groups} groups cannot be divided into {', '.join(SPLITS)}",
        "give at least three pictures a label that no _nohash_ name holds together, or write the "
        "lists train.txt, val.txt and test.txt",
    )

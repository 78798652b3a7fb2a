"""The executor of ImageStatisticsGen: one summary a shard with Beam, merged in the order of the shards.

``statistics.json`` holds::

    {"labels", "split_by": as in examples.json,
     "splits": {split: {"speakers", "all": Slice, "labels": {label: Slice}}},
     "speakers": {group: {split: {"clips", "path": of one of them}}},
     "duplicates": [[{"split", "label", "speaker", "path"} of each picture with the same pixels]]}

A Slice is `components.image_statistics_gen.accumulator.Slice`.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs
from components.beam_shards import run_shards
from components.image_statistics_gen.accumulator import Slice
from components.image_statistics_gen.component import ImageStatisticsGenParameters
from components.picture_records import read_pictures
from components.records import SPLITS, shard_paths
from components.statistics_gen.merging import merge


def execute(inputs: Inputs, outputs: Outputs, parameters: ImageStatisticsGenParameters) -> Metrics:
    """Makes the Statistics artifact."""
    examples, folder = inputs["examples"].resolve(), outputs["statistics"].resolve()
    about = read_json(examples / "examples.json")
    shards = [(split, str(path)) for split in SPLITS for path in shard_paths(examples, split)]
    summaries = run_shards(
        functools.partial(summarise, even_contrast=parameters.even_contrast),
        shards,
        folder=folder,
        reads=[examples],
        beam_options=parameters.beam_options,
        weights=[Path(path).stat().st_size / 1e6 for _, path in shards],
        unit="MB",
    )
    statistics = {
        **{key: about[key] for key in ("labels", "split_by")},
        **merge(Slice, [split for split, _ in shards], summaries),
    }
    write_json(folder / "statistics.json", statistics)
    return {
        "speakers": float(len(statistics["speakers"])),
        "duplicates": float(len(statistics["duplicates"])),
    }


def summarise(shard: tuple[str, str], *, even_contrast: float) -> dict[str, Any]:
    """The statistics of one shard (its split and path): a slice a label, and a line a picture."""
    slices: dict[str, Slice] = defaultdict(Slice)
    pictures: list[tuple[str, str, str, str]] = []
    for picture in read_pictures(Path(shard[1])):
        slices[picture.label].add(picture, even_contrast)
        # Even pictures are alike without being copies.
        digest = picture.decoded_digest if picture.contrast >= even_contrast else ""
        pictures.append((digest, picture.label, picture.speaker, picture.path))
    return {"slices": {label: s.to_json() for label, s in slices.items()}, "clips": pictures}

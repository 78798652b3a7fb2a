"""The executor of StatisticsGen: one summary a shard with Beam, merged in the order of the shards.

``statistics.json`` holds::

    {"sample_rate", "clip_samples", "labels", "split_by": as in examples.json,
     "lowest_db", "step_db": of the histograms,
     "splits": {split: {"speakers", "all": Slice, "labels": {label: Slice}}},
     "speakers": {speaker: {split: {"clips", "path": of one of them}}},
     "duplicates": [[{"split", "label", "speaker", "path"} of each clip with the same audio]]}

A Slice is `components.statistics_gen.accumulator.Slice`. The noise split is among the splits only.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs
from components.beam_shards import run_shards
from components.records import NOISE, SPLITS, read_examples, shard_paths
from components.statistics_gen.accumulator import LOWEST_DB, STEP_DB, Slice, quiet_share
from components.statistics_gen.component import StatisticsGenParameters
from components.statistics_gen.merging import merge


def execute(inputs: Inputs, outputs: Outputs, parameters: StatisticsGenParameters) -> Metrics:
    """Makes the Statistics artifact."""
    examples, folder = inputs["examples"].resolve(), outputs["statistics"].resolve()
    about = read_json(examples / "examples.json")
    shards = [
        (split, str(path)) for split in (*SPLITS, NOISE) for path in shard_paths(examples, split)
    ]
    summaries = run_shards(
        functools.partial(
            summarise, sample_rate=about["sample_rate"], quiet_db=parameters.quiet_db
        ),
        shards,
        folder=folder,
        reads=[examples],
        beam_options=parameters.beam_options,
        weights=[Path(path).stat().st_size / 1e6 for _, path in shards],
        unit="MB",
    )
    statistics = {
        **{key: about[key] for key in ("sample_rate", "clip_samples", "labels", "split_by")},
        "lowest_db": LOWEST_DB,
        "step_db": STEP_DB,
        **merge(Slice, [split for split, _ in shards], summaries),
    }
    write_json(folder / "statistics.json", statistics)
    return {
        "speakers": float(len(statistics["speakers"])),
        "duplicates": float(len(statistics["duplicates"])),
    }


def summarise(shard: tuple[str, str], *, sample_rate: int, quiet_db: float) -> dict[str, Any]:
    """The statistics of one shard (its split and path): a slice a label, and a line a clip."""
    split, path = shard
    slices: dict[str, Slice] = defaultdict(Slice)
    clips: list[tuple[str, str, str, str]] = []
    for example in read_examples(Path(path)):
        slices[example.label].add(example, quiet_share(example, sample_rate, quiet_db))
        if split != NOISE:
            # Clips of zeros alone are alike without being copies.
            digest = example.decoded_digest if example.peak else ""
            clips.append((digest, example.label, example.speaker, example.path))
    return {"slices": {label: s.to_json() for label, s in slices.items()}, "clips": clips}

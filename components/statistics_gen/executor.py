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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs
from components.beam_shards import run_shards
from components.records import NOISE, SPLITS, read_examples, shard_paths
from components.statistics_gen.accumulator import LOWEST_DB, STEP_DB, Slice, quiet_share
from components.statistics_gen.component import StatisticsGenParameters


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
        **merge([split for split, _ in shards], summaries),
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


def merge(splits: Sequence[str], summaries: Iterable[Any]) -> dict[str, Any]:
    """The statistics of all shards, of which `splits` says the split of each."""
    slices: dict[str, dict[str, Slice]] = defaultdict(lambda: defaultdict(Slice))
    speakers: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    copies: dict[str, list[dict[str, str]]] = defaultdict(list)
    for split, summary in zip(splits, summaries, strict=True):
        for label, content in summary["slices"].items():
            slices[split][label].merge(Slice.from_json(content))
        for digest, label, speaker, path in summary["clips"]:
            if speaker:
                seen = speakers[speaker].setdefault(split, {"clips": 0, "path": path})
                seen["clips"] += 1
                seen["path"] = min(seen["path"], path)
            if digest:
                clip = {"split": split, "label": label, "speaker": speaker, "path": path}
                copies[digest].append(clip)
    duplicates = [sorted(c, key=lambda clip: clip["path"]) for c in copies.values() if len(c) > 1]
    return {
        "splits": {
            split: {
                "speakers": sum(split in places for places in speakers.values()),
                "all": _whole(by_label),
                "labels": {label: s.to_json() for label, s in by_label.items()},
            }
            for split, by_label in slices.items()
        },
        "speakers": speakers,
        "duplicates": sorted(duplicates, key=lambda clips: clips[0]["path"]),
    }


def _whole(by_label: dict[str, Slice]) -> dict[str, Any]:
    whole = Slice()
    for label in sorted(by_label):
        whole.merge(by_label[label])
    return whole.to_json()

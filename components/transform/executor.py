"""Executor of Transform: a Beam pipeline over shards, and the join of what they gave.

A part of an earlier artifact whose shard of the examples and whose context are the same is copied
instead of computed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.artifacts import read_json, write_json
from components.base import PREVIOUS, Inputs, Metrics, Outputs
from components.beam_shards import run_shards
from components.members import read_members
from components.records import SPLITS, read_examples, shard_paths
from components.transform.component import TransformParameters
from components.transform.earlier import EarlierFeatures, ShardRecord
from components.transform.noise_pool import read_pool, write_pool, write_recorded
from components.transform.parts import Part, join_parts, load_part, save_part
from components.transform.shard import ShardTask, transform_shard
from edge_agent.features.audio import AudioFeatures

_ALL_CORES = ("--direct_num_workers=0", "--direct_running_mode=multi_processing")


@dataclasses.dataclass(frozen=True)
class _Shard:
    """One element of the pipeline."""

    split: str
    path: Path
    digest: str


@dataclasses.dataclass(frozen=True)
class _SplitTask:
    """What to make of the shards of one split, and the digest of its noise, empty if it needs none."""

    task: ShardTask
    noise: str

    @property
    def context(self) -> str:
        """Digest of all that decides a part beside the shard's own examples and the code, hex."""
        content = [dataclasses.asdict(self.task), self.noise]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def execute(inputs: Inputs, outputs: Outputs, parameters: TransformParameters) -> Metrics:
    """Computes the features of all splits."""
    source, target = inputs["examples"].resolve(), outputs["features"].resolve()
    description = read_json(source / "examples.json")
    features = parameters.audio_features(description["sample_rate"])
    frames = features.frames_in(description["clip_samples"])
    parts = target / "parts"
    parts.mkdir()
    write_recorded(source, target / "noise.pcm.npy")
    tasks = _tasks(source, parts, parameters, features, description)
    shards = _shards(source)
    earlier = EarlierFeatures(inputs[PREVIOUS].resolve()) if PREVIOUS in inputs else None
    reused = {} if earlier is None else _reused(earlier, shards, tasks)
    anew = [shard for shard in shards if shard.path.name not in reused]
    records = {**reused, **_compute(anew, parts, tasks, parameters.beam_options)}

    def read(record: ShardRecord) -> Part:
        if earlier is not None and record.file in reused:
            return earlier.part(record)
        return load_part(_part_path(parts, record.file))

    splits = {}
    for split in SPLITS:
        held = [records[shard.path.name] for shard in shards if shard.split == split]
        joined = join_parts(
            target,
            split,
            (read(record) for record in held if record.rows),
            sum(record.rows for record in held),
            (frames + 2 * parameters.margin_frames, features.channels),
        )
        splits[split] = {
            "clips": len(joined.paths),
            "views": tasks[split].task.count,
            **vars(joined),
            "shards": [vars(record) for record in held],
        }
    shutil.rmtree(parts)
    write_json(
        target / "features.json",
        {
            "features": dataclasses.asdict(features),
            "clip_samples": description["clip_samples"],
            "frames": frames,
            "margin_frames": parameters.margin_frames,
            "labels": description["labels"],
            "splits": splits,
        },
    )
    return {
        "rows": float(sum(record.rows for record in records.values())),
        "shards": float(len(shards)),
        "shards_made": float(len(anew)),
    }


def _shards(source: Path) -> list[_Shard]:
    digests = {shard.file: shard.digest for shard in read_members(source)}
    return [
        _Shard(split, path, digests[path.name])
        for split in SPLITS
        for path in shard_paths(source, split)
    ]


def _tasks(
    source: Path,
    parts: Path,
    parameters: TransformParameters,
    features: AudioFeatures,
    description: dict[str, Any],
) -> dict[str, _SplitTask]:
    """What to make of each split; writes the noise of those that need some into `parts`."""
    tasks = {}
    for split in SPLITS:
        task = ShardTask(
            features=features,
            views=parameters.views(features.sample_rate),
            labels=tuple(description["labels"]),
            margin_frames=parameters.margin_frames,
            count=parameters.views_of(split, description["splits"][split]["clips"]),
            made_unknown=parameters.made_unknown if split == "train" else 0.0,
            made_silence=parameters.made_silence if split == "train" else 0.0,
            seed=parameters.seed,
        )
        noise = write_pool(source, split, _noise_path(parts, split)) if task.augments else ""
        tasks[split] = _SplitTask(task, noise)
    return tasks


def _reused(
    earlier: EarlierFeatures, shards: Sequence[_Shard], tasks: dict[str, _SplitTask]
) -> dict[str, ShardRecord]:
    """The records of the parts that need not be computed, by the shard's file name."""
    contexts = {split: task.context for split, task in tasks.items()}
    found = (earlier.find(s.path.name, s.digest, contexts[s.split]) for s in shards)
    return {record.file: record for record in found if record}


def _compute(
    shards: Sequence[_Shard],
    parts: Path,
    tasks: dict[str, _SplitTask],
    beam_options: tuple[str, ...],
) -> dict[str, ShardRecord]:
    """Computes the parts of `shards` into the folder `parts`; gives their records by file name."""
    if not shards:
        return {}
    made = run_shards(
        functools.partial(_transform, parts, tasks),
        shards,
        folder=parts,
        reads=sorted({shard.path.parent for shard in shards}),
        # Other processes take longer to start than one shard takes here.
        beam_options=beam_options or (_ALL_CORES if len(shards) > 1 else ()),
        weights=[s.path.stat().st_size * (1 + tasks[s.split].task.count) for s in shards],
        unit="bytes",
    )
    return {record["file"]: ShardRecord(**record) for record in made}


def _transform(parts: Path, tasks: dict[str, _SplitTask], shard: _Shard) -> dict[str, Any]:
    """Computes the part of one shard and writes it into `parts`; gives its record."""
    examples = list(read_examples(shard.path))
    file, context = shard.path.name, tasks[shard.split].context
    if not examples:
        empty = ShardRecord(
            file=file, examples=shard.digest, context=context, clips=0, rows=0, digest=""
        )
        return vars(empty)
    split_task = tasks[shard.split]
    noise = read_pool(_noise_path(parts, shard.split), split_task.noise) if split_task.noise else []
    made = transform_shard(examples, noise, split_task.task)
    part = Part(
        codes=made.codes,
        label=made.label,
        clip=made.clip,
        view=made.view,
        speakers=[e.speaker for e in examples],
        paths=[e.path for e in examples],
        digests=[e.digest for e in examples],
    )
    save_part(_part_path(parts, file), part)
    record = ShardRecord(
        file=file,
        examples=shard.digest,
        context=context,
        clips=len(examples),
        rows=len(part.codes),
        digest=part.digest(),
    )
    return vars(record)


def _part_path(parts: Path, file: str) -> Path:
    return parts / f"{file}.npz"


def _noise_path(parts: Path, split: str) -> Path:
    return parts / f"noise.{split}.npz"

"""Executor of Transform: a Beam pipeline over shards, and the join of what they gave."""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs
from components.beam_shards import run_shards
from components.records import NOISE, SPLITS, read_examples, shard_paths
from components.transform.component import TransformParameters
from components.transform.noise import Wave
from components.transform.shard import ShardTask, transform_shard
from edge_agent.bundle.manifest import SILENCE

_TRAINING_SHARE_OF_NOISE = 0.75
_FULL_SCALE = 32768.0
_ALL_CORES = ("--direct_num_workers=0", "--direct_running_mode=multi_processing")


@dataclasses.dataclass(frozen=True)
class _Shard:
    """One element of the pipeline."""

    split: str
    index: int
    path: str


def execute(inputs: Inputs, outputs: Outputs, parameters: TransformParameters) -> Metrics:
    """Computes the features of all splits."""
    source, target = inputs["examples"], outputs["features"]
    description = read_json(source / "examples.json")
    features = parameters.audio_features(description["sample_rate"])
    labels = tuple(description["labels"])
    parts = target / "parts"
    parts.mkdir()
    shards = [
        _Shard(split, index, str(path))
        for split in SPLITS
        for index, path in enumerate(shard_paths(source, split))
    ]
    tasks = {
        split: ShardTask(
            features=features,
            views=parameters.views(features.sample_rate),
            labels=labels,
            margin_frames=parameters.margin_frames,
            count=parameters.views_of(split, description["splits"][split]["clips"]),
            made_unknown=parameters.made_unknown if split == "train" else 0.0,
            made_silence=parameters.made_silence if split == "train" else 0.0,
            seed=parameters.seed,
        )
        for split in SPLITS
    }
    augmented = [split for split in SPLITS if tasks[split].augments]
    _write_noise(source, parts, target / "noise.pcm.npy", augmented)
    made = run_shards(
        functools.partial(_transform, str(parts), tasks),
        shards,
        folder=target,
        beam_options=parameters.beam_options or _ALL_CORES,
        weights=[
            Path(shard.path).stat().st_size * (1 + tasks[shard.split].count) for shard in shards
        ],
        unit="bytes",
    )
    sum(made)
    splits, rows = {}, 0
    for split in SPLITS:
        described, added = _join(parts, split, target)
        splits[split] = {**described, "views": tasks[split].count}
        rows += added
    shutil.rmtree(parts)
    write_json(
        target / "features.json",
        {
            "features": dataclasses.asdict(features),
            "clip_samples": description["clip_samples"],
            "frames": features.frames_in(description["clip_samples"]),
            "margin_frames": parameters.margin_frames,
            "labels": list(labels),
            "splits": splits,
        },
    )
    return {"rows": float(rows)}


def _transform(parts_folder: str, tasks: dict[str, ShardTask], shard: _Shard) -> int:
    """Reads a shard, computes its features, writes them aside and renames; gives its rows."""
    examples = list(read_examples(Path(shard.path)))
    if not examples:
        return 0
    parts = Path(parts_folder)
    task = tasks[shard.split]
    noise: list[Wave] = []
    if task.augments:
        with np.load(parts / f"noise.{shard.split}.npz") as arrays:
            noise = [arrays[name] for name in arrays.files]
    made = transform_shard(examples, noise, task)
    final = parts / f"{shard.split}-{shard.index:05d}.npz"
    aside = parts / f".{final.name}.{os.getpid()}"
    with aside.open("wb") as file:
        np.savez(
            file,
            codes=made.codes,
            label=made.label,
            clip=made.clip,
            view=made.view,
            speaker=np.asarray([e.speaker for e in examples]),
            path=np.asarray([e.path for e in examples]),
            digest=np.asarray([e.digest for e in examples]),
        )
    aside.rename(final)
    return len(made.codes)


def _write_noise(source: Path, parts: Path, recorded: Path, splits: Sequence[str]) -> None:
    """What each of `splits` mixes in: its own silence clips, and its share of the noise recordings."""
    pieces = [e.pcm for path in shard_paths(source, NOISE) for e in read_examples(path)]
    np.save(recorded, np.concatenate([np.zeros(0, np.int16), *pieces]), allow_pickle=False)
    training = [p[: int(len(p) * _TRAINING_SHARE_OF_NOISE)] for p in pieces]
    evaluation = [p[int(len(p) * _TRAINING_SHARE_OF_NOISE) :] for p in pieces]
    for split in splits:
        silences = [
            example.pcm
            for path in shard_paths(source, split)
            for example in read_examples(path)
            if example.label == SILENCE
        ]
        noise = [*silences, *(training if split == "train" else evaluation)]
        np.savez(parts / f"noise.{split}.npz", *(_wave(pcm) for pcm in noise))


def _wave(pcm: npt.NDArray[np.int16]) -> Wave:
    return pcm.astype(np.float32) / np.float32(_FULL_SCALE)


def _join(parts: Path, split: str, target: Path) -> tuple[dict[str, Any], int]:
    """Puts the parts of `split` end to end in shard order; gives its description and its rows."""
    paths = sorted(parts.glob(f"{split}-*.npz"))
    index: dict[str, list[npt.NDArray[np.int32]]] = {"label": [], "clip": [], "view": []}
    codes: list[npt.NDArray[np.int8]] = []
    speakers: list[str] = []
    names: list[str] = []
    digests: list[str] = []
    for path in paths:
        with np.load(path) as part:
            clip = part["clip"]
            codes.append(part["codes"])
            index["label"].append(part["label"])
            index["clip"].append(np.where(clip >= 0, clip + len(names), clip).astype(np.int32))
            index["view"].append(part["view"])
            speakers += part["speaker"].tolist()
            names += part["path"].tolist()
            digests += part["digest"].tolist()
    rows = np.concatenate(codes)
    np.save(target / f"{split}.codes.npy", rows, allow_pickle=False)
    joined: dict[str, npt.NDArray[np.int32]] = {
        key: np.concatenate(value) for key, value in index.items()
    }
    np.savez(target / f"{split}.index.npz", **joined)
    described = {"clips": len(names), "speakers": speakers, "paths": names, "digests": digests}
    return described, len(rows)

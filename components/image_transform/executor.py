"""Executor of ImageTransform: a Beam pipeline over shards, and the join of what they gave."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs
from components.beam_shards import run_shards
from components.image_transform.component import ImageTransformParameters
from components.image_transform.views import ViewParameters, make_view
from components.picture_records import PictureExample, read_pictures
from components.records import SPLITS, shard_paths
from components.transform.parts import Part, join_parts, load_part, save_part
from edge_agent.features.image import Codes, ImageFeatures, Pixels, picture_codes
from edge_agent.sources.picture import decode_picture

_LARGEST_CANVAS = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What to make of the pictures of one split.

    Attributes:
        features: how a picture becomes codes.
        views: what a view may be.
        labels: label names in the order of their numbers.
        count: augmented views of each picture.
        seed: of all views.
    """

    features: ImageFeatures
    views: ViewParameters
    labels: tuple[str, ...]
    count: int
    seed: int


def execute(inputs: Inputs, outputs: Outputs, parameters: ImageTransformParameters) -> Metrics:
    """Computes the features of all splits."""
    source, target = inputs["examples"].resolve(), outputs["features"].resolve()
    labels = read_json(source / "examples.json")["labels"]
    features = parameters.image_features()
    tasks = {
        split: Task(
            features=features,
            views=parameters.views(),
            labels=tuple(labels),
            count=parameters.train_views if split == "train" else parameters.eval_views,
            seed=parameters.seed,
        )
        for split in SPLITS
    }
    parts = target / "parts"
    parts.mkdir()
    shards = [(split, path) for split in SPLITS for path in shard_paths(source, split)]
    made = run_shards(
        functools.partial(_transform, parts, tasks),
        shards,
        folder=parts,
        reads=[source],
        beam_options=parameters.beam_options,
        weights=[path.stat().st_size / 1e6 for _, path in shards],
        unit="MB",
    )
    rows_of: dict[str, int] = dict(made)
    splits = {}
    for split in SPLITS:
        files = [path.name for of, path in shards if of == split and rows_of[path.name]]
        joined = join_parts(
            target,
            split,
            (load_part(_part_path(parts, file)) for file in files),
            sum(rows_of[file] for file in files),
            features.shape,
        )
        splits[split] = {
            "clips": len(joined.paths),
            "views": tasks[split].count,
            **vars(joined),
        }
    shutil.rmtree(parts)
    write_json(
        target / "features.json",
        {
            "features": dataclasses.asdict(features),
            "frames": features.height,
            "margin_frames": 0,
            "labels": labels,
            "splits": splits,
        },
    )
    return {"rows": float(sum(rows_of.values())), "shards": float(len(shards))}


def codes_of(picture: PictureExample, task: Task) -> Codes:
    """Codes of one picture as found, then of its views: shape (1 + count, ...).

    View 0 is what the device computes. The others are made on a canvas of twice the model's input, so
    that they cost alike whatever the picture's size; each follows from the seed and the picture's path.
    """
    features = task.features
    pixels = decode_picture(picture.image, picture.path)
    rows = [picture_codes(pixels, features)]
    if task.count:
        canvas = _canvas(pixels, features)
        whole = dataclasses.replace(features, fit="stretch")
        digest = hashlib.sha256(f"{task.seed}:{picture.path}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
        rows += [
            picture_codes(make_view(canvas, task.views, rng), whole) for _ in range(task.count)
        ]
    return np.stack(rows)


def _canvas(pixels: Pixels, features: ImageFeatures) -> Pixels:
    form = dataclasses.replace(
        features,
        height=min(2 * features.height, _LARGEST_CANVAS),
        width=min(2 * features.width, _LARGEST_CANVAS),
    )
    values = picture_codes(pixels, form).astype(np.int16) + 128
    return values.astype(np.uint8).reshape(form.height, form.width, form.depth)


def _transform(parts: Path, tasks: dict[str, Task], shard: tuple[str, Path]) -> list[Any]:
    """Computes the part of one shard and writes it into `parts`; gives the shard's name and its rows."""
    split, path = shard
    task = tasks[split]
    pictures = list(read_pictures(path))
    if not pictures:
        return [path.name, 0]
    views = task.count + 1
    part = Part(
        codes=np.concatenate([codes_of(picture, task) for picture in pictures]),
        label=np.repeat([task.labels.index(p.label) for p in pictures], views).astype(np.int32),
        clip=np.repeat(np.arange(len(pictures)), views).astype(np.int32),
        view=np.tile(np.arange(views), len(pictures)).astype(np.int32),
        speakers=[p.speaker for p in pictures],
        paths=[p.path for p in pictures],
        digests=[p.digest for p in pictures],
    )
    save_part(_part_path(parts, path.name), part)
    return [path.name, len(part.codes)]


def _part_path(parts: Path, file: str) -> Path:
    return parts / f"{file}.npz"

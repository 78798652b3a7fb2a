"""The Features artifact in memory, as training wants it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_json
from components.base import UserError
from components.training.rows import MADE
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.features.audio import AudioFeatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """The rows of one split.

    Attributes:
        codes: int8, shape (rows, margin + frames + margin, channels), memory-mapped.
        label: index into the labels, int32, one a row.
        clip: which clip of the split a row shows; -1 for clips that Transform made.
        view: 0 as recorded, else which augmentation; -1 for clips that Transform made.
    """

    codes: npt.NDArray[np.int8]
    label: npt.NDArray[np.int32]
    clip: npt.NDArray[np.int32]
    view: npt.NDArray[np.int32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """A Features artifact, opened.

    Attributes:
        folder: where it lies.
        features: the front end.
        labels: label names, in the order of the model's outputs.
        frames: frames that a model sees.
        margin: frames before and after them.
        description: the whole of ``features.json``.
    """

    folder: Path
    features: AudioFeatures
    labels: tuple[str, ...]
    frames: int
    margin: int
    description: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> FeatureSet:
        """Opens the artifact at `folder`."""
        description = read_json(folder / "features.json")
        return cls(
            folder=folder,
            features=AudioFeatures(**description["features"]),
            labels=tuple(description["labels"]),
            frames=description["frames"],
            margin=description["margin_frames"],
            description=description,
        )

    def split(self, name: str) -> Split:
        """The rows of split `name`: train, val or test."""
        with np.load(self.folder / f"{name}.index.npz") as index:
            arrays = {key: index[key] for key in ("label", "clip", "view")}
        codes = np.load(self.folder / f"{name}.codes.npy", mmap_mode="r")
        return Split(codes=codes, **arrays)

    def centred(self, codes: npt.NDArray[np.int8], offset: int = 0) -> npt.NDArray[np.int8]:
        """What a model sees of rows of codes, `offset` frames from the middle (within the margin)."""
        start = self.margin + offset
        return codes[:, start : start + self.frames]


# Shares of a batch that are not the unknown words'. Clips that are no keyword are few in most
# recordings and hard to learn, so they are drawn more often than they stand there.
_SHARES = {"keyword": 0.78, "made_unknown": 0.02, "silence": 0.04, "made_silence": 0.03}


def groups(
    split: Split, labels: tuple[str, ...], unknown_share: float
) -> list[tuple[float, npt.NDArray[np.int32]]]:
    """(share of a batch, row numbers) of the groups that training draws from.

    `unknown_share` goes to recorded unknown words. Groups without rows are left out, and the shares
    of the others grow in proportion.

    Raises:
        UserError: if there is nothing to train on.
    """
    scale = (1.0 - unknown_share) / sum(_SHARES.values())
    shares = {"unknown": unknown_share} | {k: v * scale for k, v in _SHARES.items()}
    made = split.view == MADE
    unknown = split.label == labels.index(UNKNOWN)
    silence = split.label == labels.index(SILENCE)
    masks = {
        "keyword": ~unknown & ~silence,
        "unknown": unknown & ~made,
        "made_unknown": unknown & made,
        "silence": silence & ~made,
        "made_silence": silence & made,
    }
    found = [(shares[k], np.flatnonzero(m).astype(np.int32)) for k, m in masks.items() if m.any()]
    if not found:
        raise UserError("the training split holds no clip: add recordings, or change the lists")
    total = sum(share for share, _ in found)
    return [(share / total, rows) for share, rows in found]

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
from edge_agent.features.audio import INPUT_SCALE, AudioFeatures
from edge_agent.features.image import ImageFeatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """The rows of one split.

    Attributes:
        codes: int8, shape (rows, margin + frames + margin, channels), of coloured pictures with a last
            axis of 3; memory-mapped.
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
        source: what made the codes: a front end, or how a picture becomes codes.
        labels: label names, in the order of the model's outputs.
        frames: frames that a model sees; rows of a picture.
        margin: frames before and after them; none around a picture.
        description: the whole of ``features.json``.
    """

    folder: Path
    source: AudioFeatures | ImageFeatures
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
            source=_source(description["features"]),
            labels=tuple(description["labels"]),
            frames=description["frames"],
            margin=description["margin_frames"],
            description=description,
        )

    @property
    def features(self) -> AudioFeatures:
        """The front end, of features of sound.

        Raises:
            TypeError: if these are of pictures.
        """
        if not isinstance(self.source, AudioFeatures):
            raise TypeError(f"{self.folder}: these are features of pictures, not of sound")
        return self.source

    @property
    def picture(self) -> ImageFeatures:
        """How a picture becomes codes, of features of pictures.

        Raises:
            TypeError: if these are of sound.
        """
        if not isinstance(self.source, ImageFeatures):
            raise TypeError(f"{self.folder}: these are features of sound, not of pictures")
        return self.source

    @property
    def channels(self) -> int:
        """Channels of a frame; columns of a picture."""
        return self.source.channels if isinstance(self.source, AudioFeatures) else self.source.width

    @property
    def depth(self) -> int:
        """Codes of one channel of a frame: 1, but 3 of coloured pictures."""
        return 1 if isinstance(self.source, AudioFeatures) else self.source.depth

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


def as_inputs(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """What a float model takes for codes of (rows, frames, channels), or of (rows, height, width, 3).

    Shape (rows, frames, channels, depth).
    """
    deep = codes if codes.ndim == 4 else codes[..., None]
    return deep.astype(np.float32) * np.float32(INPUT_SCALE)


def _source(content: dict[str, Any]) -> AudioFeatures | ImageFeatures:
    return ImageFeatures(**content) if "colour" in content else AudioFeatures(**content)


# Shares of a batch that are not the unknown words'. Clips that are no keyword are few in most
# recordings and hard to learn, so they are drawn more often than they stand there.
_NO_LABEL = -1
_SHARES = {"keyword": 0.78, "made_unknown": 0.02, "silence": 0.04, "made_silence": 0.03}


def groups(
    split: Split, labels: tuple[str, ...], unknown_share: float
) -> list[tuple[float, npt.NDArray[np.int32]]]:
    """(share of a batch, row numbers) of the groups that training draws from.

    `unknown_share` goes to recorded unknown words. Groups without rows are left out, and the shares
    of the others grow in proportion. Labels need not hold unknown and silence: those of pictures do not.

    Raises:
        UserError: if there is nothing to train on.
    """
    scale = (1.0 - unknown_share) / sum(_SHARES.values())
    shares = {"unknown": unknown_share} | {k: v * scale for k, v in _SHARES.items()}
    made = split.view == MADE
    unknown, silence = (
        split.label == (labels.index(label) if label in labels else _NO_LABEL)
        for label in (UNKNOWN, SILENCE)
    )
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

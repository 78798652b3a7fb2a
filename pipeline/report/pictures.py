"""Pictures in the report: how large and bright they are, and the worst mistakes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from edge_agent.features.image import ImageFeatures, picture_codes
from edge_agent.sources.picture import PictureError, decode_picture, picture_bytes
from pipeline.report import plots
from pipeline.report.mistakes import MOST, Mistake, inside
from pipeline.ui.figures import number

_SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeRow:
    """The pictures of one split as they were found.

    Attributes:
        split: which split.
        sides: the shortest and the longest side of any, pixels.
        brightness: mean brightness from black (0%) to white.
        even: how many are even all over.
        colours: how many are grey, how many in colour.
    """

    split: str
    sides: str
    brightness: str
    even: str
    colours: str


def size_table(statistics: Mapping[str, Any]) -> list[SizeRow]:
    """A row a split, from statistics.json of pictures; none of sound."""
    splits = statistics["splits"]
    return [
        _sizes(split, splits[split]["all"])
        for split in _SPLITS
        if split in splits and "brightness" in splits[split]["all"]
    ]


def _sizes(split: str, slice_: Mapping[str, Any]) -> SizeRow:
    bins = slice_["brightness"]
    mean = sum((place + 0.5) * count for place, count in enumerate(bins)) / len(bins)
    names = {"1": "grey", "3": "in colour"}
    return SizeRow(
        split=split,
        sides=f"{slice_['smallest'][0]} to {slice_['largest'][0]} pixels",
        brightness=f"{100 * mean / max(1, slice_['clips']):.0f}%",
        even=number(slice_["even"]),
        colours=", ".join(
            f"{number(count)} {names[kind]}" for kind, count in sorted(slice_["colours"].items())
        ),
    )


def worst_pictures(
    worst: Sequence[Mapping[str, Any]], pictures: Path, features: Mapping[str, Any]
) -> list[Mistake]:
    """The first few of evaluation.json's ``worst``, re-read from `pictures` and drawn.

    Args:
        worst: entries with path, truth, said, probability and digest.
        pictures: the folder that the paths are relative to.
        features: ``features`` of features.json.
    """
    form = ImageFeatures(**features)
    return [_mistake(entry, pictures, form) for entry in worst[:MOST]]


def _mistake(entry: Mapping[str, Any], pictures: Path, form: ImageFeatures) -> Mistake:
    drawn, remark = Markup(""), ""
    try:
        data = picture_bytes(inside(pictures, entry["path"]))
        pixels = decode_picture(data, entry["path"])
        drawn = plots.picture(pixels, picture_codes(pixels, form), entry["path"])
        if hashlib.sha256(data).hexdigest() != entry["digest"]:
            remark = "The picture has changed since the run: it is shown as it is now."
    except (PictureError, OSError) as e:
        remark = f"The picture can no longer be read: {e}"
    return Mistake(
        path=entry["path"],
        truth=entry["truth"],
        said=entry["said"],
        probability=entry["probability"],
        picture=drawn,
        remark=remark,
    )

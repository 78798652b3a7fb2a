"""From a picture to the int8 codes that a model's input tensor takes.

The codes stand on the grid of every model here (``real = code * INPUT_SCALE``, zero point 0, see
`edge_agent.features.audio`): grey 0 is -128 and 255 is 127. Shrinking averages with a triangle as wide
as the reduction, so that nothing between two samples is lost; growing interpolates linearly. The weights
are whole numbers and every sum is below 2^53, so the codes are the same to the bit on every processor,
whatever order its library adds in.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Float64 = npt.NDArray[np.float64]

_UNIT = 1 << 14  # what the weights of one output sample add up to
_LARGEST = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """How a picture becomes codes, as a recipe sets it and a bundle carries it.

    Attributes:
        height: rows of codes.
        width: codes a row.
        colour: ``grey`` (luma of ITU-R BT.601) or ``rgb``.
        fit: ``stretch`` keeps the whole picture and bends its sides; ``crop`` keeps the shape and
            takes the largest middle part that has it.
    """

    height: int = 32
    width: int = 32
    colour: Literal["grey", "rgb"] = "grey"
    fit: Literal["stretch", "crop"] = "stretch"

    def __post_init__(self) -> None:
        if not 8 <= self.height <= _LARGEST or not 8 <= self.width <= _LARGEST:
            raise ValueError(f"height and width must be 8 to {_LARGEST}")
        if self.colour not in ("grey", "rgb"):
            raise ValueError(f"colour is {self.colour!r}: it must be 'grey' or 'rgb'")
        if self.fit not in ("stretch", "crop"):
            raise ValueError(f"fit is {self.fit!r}: it must be 'stretch' or 'crop'")

    @property
    def depth(self) -> int:
        """Codes a pixel."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture's codes: (height, width), with a third axis of 3 for ``rgb``."""
        return (self.height, self.width) if self.depth == 1 else (self.height, self.width, 3)


def picture_codes(pixels: Pixels, features: ImageFeatures) -> Codes:
    """The codes of a picture, of shape ``features.shape``.

    Args:
        pixels: shape (rows, columns, 1) or (rows, columns, 3), of any size from 1 x 1 on.
        features: what they become.
    """
    if features.fit == "crop":
        pixels = _middle(pixels, features.width / features.height)
    resized = _resized(pixels, features)
    values = np.floor(resized / float(_UNIT * _UNIT) + 0.5)
    codes: Codes = (values - 128.0).astype(np.int8).reshape(features.shape)
    return codes


def _middle(pixels: Pixels, aspect: float) -> Pixels:
    """The largest middle part whose columns are `aspect` times its rows."""
    rows, columns = pixels.shape[:2]
    kept_columns = min(columns, max(1, round(rows * aspect)))
    kept_rows = min(rows, max(1, round(columns / aspect)))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    return pixels[top : top + kept_rows, left : left + kept_columns]


def _resized(pixels: Pixels, features: ImageFeatures) -> Float64:
    """Sums of weighted pixels, shape (height, width, depth), in units of `_UNIT` squared."""
    rows, columns = pixels.shape[:2]
    across = _weights(columns, features.width)
    resized = np.empty((features.height, features.width, features.depth))
    # Row by row of the result, so that no more of the picture is held in floats than one row needs.
    for y, row in enumerate(_weights(rows, features.height)):
        used = np.flatnonzero(row)
        first, last = int(used[0]), int(used[-1]) + 1
        part = _coloured(pixels[first:last], features.depth)
        down = np.tensordot(row[first:last], part, axes=1)
        resized[y] = across @ down
    return resized


def _coloured(pixels: Pixels, depth: int) -> Float64:
    """The pixels with `depth` values each, 0 to 255, whole numbers."""
    given = pixels.shape[2]
    if given == depth:
        return pixels.astype(np.float64)
    if depth == 3:
        return np.repeat(pixels.astype(np.float64), 3, axis=2)
    luma = pixels.astype(np.uint32) @ np.array([77, 150, 29], np.uint32)
    grey: Float64 = ((luma + 128) >> 8).astype(np.float64)[..., None]
    return grey


@functools.lru_cache(maxsize=32)
def _weights(size: int, wanted: int) -> Float64:
    """Weights of `size` samples in each of `wanted`: shape (wanted, size), whole, each row `_UNIT`."""
    scale = size / wanted
    reach = max(1.0, scale)
    weights = np.zeros((wanted, size))
    for i in range(wanted):
        centre = (i + 0.5) * scale
        first, last = max(0, math.floor(centre - reach)), min(size, math.ceil(centre + reach))
        places = np.arange(first, last)
        triangle = np.maximum(0.0, 1.0 - np.abs((places + 0.5 - centre) / reach))
        row = np.rint(triangle * (_UNIT / triangle.sum()))
        row[row.argmax()] += _UNIT - row.sum()
        weights[i, first:last] = row
    return weights

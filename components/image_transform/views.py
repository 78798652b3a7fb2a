"""Fixed augmentations of a picture: turned, moved, nearer, in another light, with noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from edge_agent.features.image import Pixels

Float32 = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewParameters:
    """What a view may be; see `components.image_transform.component.ImageTransformParameters`."""

    turn: float
    zoom: float
    shift: float
    brightness: float
    contrast: float
    noise: float


def make_view(pixels: Pixels, p: ViewParameters, rng: np.random.Generator) -> Pixels:
    """One augmented view of `pixels`, of the same shape; its border is repeated beyond its edges.

    Args:
        pixels: uint8, shape (rows, columns, colours).
        p: what it may be.
        rng: whose next draws decide.
    """
    angle, zoom = math.radians(rng.uniform(-p.turn, p.turn)), math.exp(rng.uniform(-p.zoom, p.zoom))
    rows, columns = pixels.shape[:2]
    down, right = rng.uniform(-p.shift, p.shift, 2) * (rows, columns)
    gain, offset = math.exp(rng.uniform(-p.contrast, p.contrast)), rng.normal(0.0, p.brightness)
    spread = rng.uniform(0.0, p.noise)
    y = np.arange(rows)[:, None] - (rows - 1) / 2.0
    x = np.arange(columns)[None] - (columns - 1) / 2.0
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    from_y = cosine * y - sine * x + (rows - 1) / 2.0 - down
    from_x = sine * y + cosine * x + (columns - 1) / 2.0 - right
    values = _at(pixels.astype(np.float32), from_y, from_x)
    middle = values.mean()
    values = (values - middle) * gain + middle + offset
    values = values + rng.normal(0.0, 1.0, values.shape) * spread
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _at(
    pixels: Float32, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Values at fractional places, interpolated linearly; shape (rows, columns, colours)."""
    y = np.clip(y, 0, pixels.shape[0] - 1)
    x = np.clip(x, 0, pixels.shape[1] - 1)
    top, left = y.astype(int), x.astype(int)
    below = np.minimum(top + 1, pixels.shape[0] - 1)
    beside = np.minimum(left + 1, pixels.shape[1] - 1)
    down, right = (y - top)[..., None], (x - left)[..., None]
    upper = pixels[top, left] * (1 - right) + pixels[top, beside] * right
    lower = pixels[below, left] * (1 - right) + pixels[below, beside] * right
    return upper * (1 - down) + lower * down

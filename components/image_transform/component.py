"""The ImageTransform component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.artifacts import EXAMPLES, FEATURES
from components.base import EXECUTION_ONLY, Component
from components.image_transform.views import ViewParameters
from edge_agent.features.image import ImageFeatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageTransformParameters:
    """Parameters of ImageTransform.

    Attributes:
        height: rows of the model's input.
        width: columns of the model's input.
        colour: ``grey`` or ``rgb``.
        fit: ``stretch`` keeps the whole picture; ``crop`` keeps its shape and takes the middle.
        train_views: augmented views of each training picture, beside the picture as found.
        eval_views: augmented views of each validation and test picture.
        turn: most that a view is turned, degrees, either way.
        zoom: most natural log of a view's magnification.
        shift: most that a view is moved, as a share of its sides.
        brightness: standard deviation of what is added to a view's values, 0 to 255.
        contrast: most natural log of the factor of a view's contrast.
        noise: most standard deviation of the noise of a view, 0 to 255.
        seed: seed of all views.
        beam_options: options of the Beam runner, each as ``--name=value``.
    """

    height: int = 32
    width: int = 32
    colour: Literal["grey", "rgb"] = "grey"
    fit: Literal["stretch", "crop"] = "stretch"
    train_views: int = 6
    eval_views: int = 10
    turn: float = 10.0
    zoom: float = 0.08
    shift: float = 0.06
    brightness: float = 10.0
    contrast: float = 0.2
    noise: float = 8.0
    seed: int = 1
    beam_options: tuple[str, ...] = dataclasses.field(default=(), metadata=EXECUTION_ONLY)

    def __post_init__(self) -> None:
        self.image_features()
        if not 0 <= self.train_views <= 1000 or not 0 <= self.eval_views <= 1000:
            raise ValueError("train_views and eval_views must be 0 to 1000")
        if not 0.0 <= self.turn <= 180.0 or not 0.0 <= self.shift <= 0.5:
            raise ValueError("turn must be 0 to 180, and shift 0 to 0.5")
        if not 0.0 <= self.zoom <= 1.0 or not 0.0 <= self.contrast <= 2.0:
            raise ValueError("zoom must be 0 to 1, and contrast 0 to 2")
        if min(self.brightness, self.noise) < 0.0:
            raise ValueError("brightness and noise must not be negative")

    def image_features(self) -> ImageFeatures:
        """How the device makes codes of a picture.

        Raises:
            ValueError: if it cannot.
        """
        return ImageFeatures(height=self.height, width=self.width, colour=self.colour, fit=self.fit)

    def views(self) -> ViewParameters:
        """What a view may be."""
        return ViewParameters(
            turn=self.turn,
            zoom=self.zoom,
            shift=self.shift,
            brightness=self.brightness,
            contrast=self.contrast,
            noise=self.noise,
        )


class ImageTransform(Component):
    """Computes the device's codes of every picture and of fixed augmentations of it (Beam)."""

    INPUTS = {"examples": EXAMPLES}
    OUTPUTS = {"features": FEATURES}
    PARAMETERS = ImageTransformParameters
    EXECUTOR = "components.image_transform.executor:execute"

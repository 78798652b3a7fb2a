"""The model of a bundle for pictures."""

from __future__ import annotations

from collections.abc import Mapping

from edge_agent.bundle.manifest import ImageManifest, Manifest
from edge_agent.classification import ClassifierError, open_classifier, probabilities
from edge_agent.features.audio import Float32
from edge_agent.features.image import Pixels, picture_codes
from edge_agent.runtime import Runtime


class PictureClassifier:
    """A bundle's model, fed with pictures of any size.

    Attributes:
        labels: what the probabilities stand for, in order.
        features: how a picture becomes the model's input.
        model: the loaded model.
    """

    def __init__(
        self, manifest: Manifest, files: Mapping[str, bytes], *, runtime: Runtime = "auto"
    ) -> None:
        """Loads the model.

        Raises:
            ClassifierError: if the bundle is for something else, or its model not what it says.
            RuntimeModelError: if no runtime here takes it.
        """
        if not isinstance(manifest, ImageManifest):
            raise ClassifierError(
                f"the bundle is for {manifest.workload}, not for image_classification: name another, "
                "or use its own command (python -m edge_agent --help)"
            )
        self.labels = manifest.labels
        self.features = manifest.features
        self.model = open_classifier(
            files[manifest.model],
            manifest.model,
            shape=(1, self.features.height, self.features.width, self.features.depth),
            labels=len(self.labels),
            minimum=manifest.minimum,
            runtime=runtime,
        )

    def classify(self, pixels: Pixels) -> Float32:
        """The probability of each label for one picture; the decision is the largest.

        Args:
            pixels: uint8, shape (rows, columns, 1) or (rows, columns, 3).
        """
        return probabilities(self.model, picture_codes(pixels, self.features))

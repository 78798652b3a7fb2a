"""A cheap model in front of a dear one: the classifier runs only where the gate opens.

A cascade, as in Viola and Jones (2001), "Rapid object detection using a boosted cascade of simple
features", and in the wake-up stages of always-on speech recognisers. The gate sees the window that the
classifier would see. Where it stays shut, what it takes the window for (`_silence_` or `_unknown_`) is
the answer, so that smoothing and detection go on as if the classifier had run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.classification import probabilities
from edge_agent.features.audio import Codes, Float32
from edge_agent.runtime import Model

GATE_OUTPUTS = (SILENCE, UNKNOWN, "any keyword")
"""What a gate's outputs are the probabilities of, in order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Computation:
    """What a gate spared on the windows of one clip, stream or folder.

    Attributes:
        windows: windows that were decided.
        classified: those that the gate let through to the classifier.
        gate_macs: multiply-accumulates of one run of the gate.
        classifier_macs: likewise of the classifier.
    """

    windows: int
    classified: int
    gate_macs: int
    classifier_macs: int

    @property
    def saved(self) -> float:
        """Share of the multiply-accumulates spared, against the classifier alone on every window.

        Below 0 where the gate opens so often that it costs more than it spares; 0 without windows.
        """
        alone = self.windows * self.classifier_macs
        spent = self.windows * self.gate_macs + self.classified * self.classifier_macs
        return 1.0 - spent / alone if alone else 0.0

    def as_json(self) -> dict[str, float]:
        """The form that the commands print."""
        return {**dataclasses.asdict(self), "saved": round(self.saved, 4)}

    def as_text(self) -> str:
        """The form that the commands print for people."""
        return (
            f"gate: {self.classified} of {self.windows} windows went on to the classifier; "
            f"{self.saved:.1%} of the multiply-accumulates saved"
        )


def heard(model: Model, codes: Codes) -> Float32:
    """What a gate's model gives for one window: the probabilities of `GATE_OUTPUTS`."""
    return probabilities(model, codes)


class OpenedGate:
    """A gate's loaded model, and its rule.

    Attributes:
        model: the loaded model.
        labels: how many probabilities an answer has.
    """

    def __init__(self, model: Model, opens_at: float, labels: Sequence[str]) -> None:
        """Takes a model with `GATE_OUTPUTS`; `labels` are the classifier's."""
        self.model = model
        self._opens_at = opens_at
        self.labels = len(labels)
        self._places = [labels.index(SILENCE), labels.index(UNKNOWN)]

    def answer(self, codes: Codes) -> Float32 | None:
        """The probabilities (labels,) of a window at which the gate stays shut; None if it opens."""
        found = heard(self.model, codes)
        if found[2] >= self._opens_at:
            return None
        answer = np.zeros(self.labels, np.float32)
        # The probability of a keyword is lower than what it opens at, and counts for neither.
        answer[self._places] = found[:2] / max(float(found[:2].sum()), 1e-6)
        return answer

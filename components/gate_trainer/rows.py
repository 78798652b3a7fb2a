"""The rows of a Features artifact under a gate's three labels, and the threshold that they give it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from components.training.data import FeatureSet, Split
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.keyword.gate import GATE_OUTPUTS

KEYWORD = len(GATE_OUTPUTS) - 1
"""The place of any keyword among a gate's labels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateFeatures(FeatureSet):
    """A Features artifact in which all keywords are one label."""

    places: npt.NDArray[np.int32]

    @classmethod
    def of(cls, features: FeatureSet) -> GateFeatures:
        """The same artifact under `GATE_OUTPUTS`."""
        ends = {SILENCE: 0, UNKNOWN: 1}
        places = [ends.get(label, KEYWORD) for label in features.labels]
        own: dict[str, Any] = {
            field.name: getattr(features, field.name) for field in dataclasses.fields(features)
        }
        return cls(**own | {"labels": GATE_OUTPUTS}, places=np.array(places, np.int32))

    def split(self, name: str) -> Split:
        """The rows of split `name`: train, val or test."""
        split = super().split(name)
        return dataclasses.replace(split, label=self.places[split.label])

    def shifted(self, codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Each row as the device comes upon it: early, in the middle and late, within the margin."""
        offsets = sorted({-self.margin, 0, self.margin})
        return np.concatenate([self.centred(codes, offset) for offset in offsets])


def opening_threshold(probability: npt.NDArray[np.floating[Any]], kept: float) -> float:
    """The highest threshold that at least a share of `kept` of `probability` (n,) reaches."""
    may_miss = int((1.0 - kept) * len(probability) + 1e-9)
    return float(np.sort(probability)[may_miss])

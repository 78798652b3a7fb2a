"""Skew between the splits of one run, and drift from one run to the next.

Two measures, as in TensorFlow Data Validation: of labels, the largest difference of a share
(L-infinity); of levels, the Jensen-Shannon divergence of two histograms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from components.example_validator.anomaly import Anomaly
from components.example_validator.component import ExampleValidatorParameters
from components.records import SPLITS


def check_skew(statistics: Any, parameters: ExampleValidatorParameters) -> list[Anomaly]:
    """Where validation or test clips are unlike the training clips."""
    splits = statistics["splits"]
    return [
        Anomaly(
            severity="warning",
            what=f"{split} is unlike train: {difference}",
            where=split,
            advice="see that the splits were recorded alike",
        )
        for split in SPLITS[1:]
        if split in splits and "train" in splits
        for difference in _differences(splits["train"], splits[split], parameters)
    ]


def check_drift(
    statistics: Any, previous: Any, parameters: ExampleValidatorParameters
) -> list[Anomaly]:
    """Where the clips are unlike those of the run before."""
    return [
        Anomaly(
            severity="warning",
            what=f"{split} is unlike that of the run before: {difference}",
            where=split,
            advice="see that the new recordings are what they should be",
        )
        for split in SPLITS
        if split in statistics["splits"] and split in previous["splits"]
        for difference in _differences(
            previous["splits"][split], statistics["splits"][split], parameters
        )
    ]


def _differences(
    reference: Any, other: Any, parameters: ExampleValidatorParameters
) -> Iterator[str]:
    if min(reference["all"]["clips"], other["all"]["clips"]) < parameters.compared_clips:
        return
    shares = [_shares(side) for side in (reference, other)]
    labels = sorted(set(shares[0]) | set(shares[1]))
    label = max(labels, key=lambda at: abs(shares[0].get(at, 0.0) - shares[1].get(at, 0.0)))
    before, after = (side.get(label, 0.0) for side in shares)
    if abs(before - after) > parameters.label_share:
        yield f"{label} is {after:.0%} of the clips, not {before:.0%}"
    levels = [np.asarray(side["all"]["rms_db"], np.float64) for side in (reference, other)]
    divergence = float(jensenshannon(*levels, base=2)) ** 2
    if divergence > parameters.level_divergence:
        yield f"its levels differ (Jensen-Shannon divergence {divergence:.2f})"


def _shares(split: Any) -> dict[str, float]:
    clips = split["all"]["clips"]
    return {label: found["clips"] / clips for label, found in split["labels"].items()}

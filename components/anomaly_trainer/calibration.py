"""How far the threshold lies above the normal scores: one stretch for all logs, chosen by the aims."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.evaluation import Outcome, mean

# Each a fiftieth above the last.
STRETCHES: tuple[float, ...] = tuple(round(float(s), 3) for s in 1.02 ** np.arange(0, 175))


def choose_stretch(found: Sequence[Outcome], parameters: AnomalyTrainerParameters) -> float:
    """The stretch that comes nearest to the aims; of several the smallest.

    Args:
        found: logs that were scored with thresholds that are not stretched.
        parameters: the aims, or the stretch itself.
    """
    if parameters.stretch is not None:
        return parameters.stretch
    return min(STRETCHES, key=lambda stretch: _excess(found, stretch, parameters))


def rates(found: Sequence[Outcome], stretch: float) -> tuple[float | None, float | None]:
    """False alarms and misses, means over the logs, each row held against the threshold alone."""
    crossed = [_above(outcome, stretch) for outcome in found]
    false = [
        float(above[~o.labels].mean()) if (~o.labels).any() else None
        for o, above in zip(found, crossed, strict=True)
    ]
    missed = [
        1.0 - float(above[o.labels].mean()) if o.labels.any() else None
        for o, above in zip(found, crossed, strict=True)
    ]
    return mean(false), mean(missed)


def _excess(
    found: Sequence[Outcome], stretch: float, parameters: AnomalyTrainerParameters
) -> float:
    """How many times an aim is missed by, the worse of both."""
    false, missed = rates(found, stretch)
    if missed is None:
        return max(1.0, (false or 0.0) / parameters.aim_unlabelled)
    return max((false or 0.0) / parameters.aim_false_alarms, missed / parameters.aim_missed)


def _above(outcome: Outcome, stretch: float) -> npt.NDArray[np.bool_]:
    level = outcome.typical + stretch * (outcome.threshold - outcome.typical)
    above: npt.NDArray[np.bool_] = outcome.score >= level
    return above

"""How far the threshold lies above the normal scores: one stretch for all logs, chosen by the aims.

A log that says nothing about its rows is presumably normal, and counts. But one that alarms in more than
half of them at the stretch that all the others choose has left what its beginning taught: no threshold
in common fits both, and one between them serves neither. Such a log strays: it is measured and named,
and the stretch is chosen without it. A log with labels never strays, for its normal rows are known to be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.evaluation import Outcome, mean

# Each a fiftieth above the last.
STRETCHES: tuple[float, ...] = tuple(round(float(s), 3) for s in 1.02 ** np.arange(0, 175))
_STRAYS = 0.5  # of a log's rows with an alarm
_MOST_STRAYS = 0.25  # of the logs: of more, it is the teaching that does not fit, and all count

Float64 = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """How far the threshold is stretched.

    Attributes:
        factor: what `ThresholdRule.stretch` is to be.
        strays: names of the logs that do not fit it, and had no say in it.
    """

    factor: float
    strays: tuple[str, ...]


def choose_stretch(found: Sequence[Outcome], parameters: AnomalyTrainerParameters) -> Stretch:
    """The stretch that comes nearest to the aims; of several the smallest.

    Args:
        found: logs that were scored with thresholds that are not stretched.
        parameters: the aims, or the stretch itself.
    """
    unlabelled = np.array([not outcome.log.record.labelled for outcome in found])
    if parameters.stretch is not None:
        alarms = [_rates(outcome, parameters.stretch)[0] or 0.0 for outcome in found]
        strays = _minority(unlabelled & (np.array(alarms) > _STRAYS))
        return Stretch(factor=parameters.stretch, strays=_names(found, strays))
    false, missed = (np.array(rates) for rates in zip(*map(_by_stretch, found), strict=True))
    strays = unlabelled.copy()
    for place in np.flatnonzero(unlabelled):
        others = np.arange(len(found)) != place
        strays[place] = false[place, _nearest(false[others], missed[others], parameters)] > _STRAYS
    strays = _minority(strays)
    factor = STRETCHES[_nearest(false[~strays], missed[~strays], parameters)]
    return Stretch(factor=factor, strays=_names(found, strays))


def _minority(strays: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """`strays`, or none where they are too many to be apart from the others."""
    return strays if strays.mean() <= _MOST_STRAYS else np.zeros_like(strays)


def _names(found: Sequence[Outcome], which: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(o.log.record.name for o, is_one in zip(found, which, strict=True) if is_one)


def rates(found: Sequence[Outcome], stretch: float) -> tuple[float | None, float | None]:
    """False alarms and misses, means over the logs, each row held against the threshold alone."""
    pairs = [_rates(outcome, stretch) for outcome in found]
    return mean([false for false, _ in pairs]), mean([missed for _, missed in pairs])


def _rates(outcome: Outcome, stretch: float) -> tuple[float | None, float | None]:
    level = outcome.typical + stretch * (outcome.threshold - outcome.typical)
    above, labels = outcome.score >= level, outcome.labels
    return (
        None if labels.all() else float(above[~labels].mean()),
        1.0 - float(above[labels].mean()) if labels.any() else None,
    )


def _by_stretch(outcome: Outcome) -> tuple[list[float], list[float]]:
    """False alarms and misses of one log by `STRETCHES`; NaN where it has no such rows."""
    pairs = [_rates(outcome, stretch) for stretch in STRETCHES]
    nan = float("nan")
    return [nan if f is None else f for f, _ in pairs], [nan if m is None else m for _, m in pairs]


def _nearest(false: Float64, missed: Float64, parameters: AnomalyTrainerParameters) -> int:
    """Place of the stretch at which the worse of both misses its aim by the least.

    Args:
        false: shape (logs, stretches), NaN where a log has no normal rows.
        missed: the same of anomalous rows.
        parameters: the aims.
    """
    alarms, misses = _means(false), _means(missed)
    if misses is None:
        unlabelled = 0.0 if alarms is None else alarms / parameters.aim_unlabelled
        return int(np.argmin(np.maximum(1.0, unlabelled) * np.ones(len(STRETCHES))))
    normal = 0.0 if alarms is None else alarms / parameters.aim_false_alarms
    return int(np.argmin(np.maximum(normal, misses / parameters.aim_missed)))


def _means(rates: Float64) -> Float64 | None:
    """Mean over the logs that have such rows, by stretch; None if none has."""
    known = rates[np.isfinite(rates).all(axis=1)]
    return known.mean(axis=0) if len(known) else None

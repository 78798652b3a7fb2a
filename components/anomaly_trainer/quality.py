"""What a detector is judged by: ROC-AUC by row, or NAB's score where the labels are NAB's windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from components.anomaly_trainer.evaluation import Outcome, aucs, mean
from components.anomaly_trainer.nab_table import Scored, profile_scores
from edge_agent.anomaly import nab
from edge_agent.anomaly.metrics import stretches

_STANDARD = "standard"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """A measure: its `name` in a sentence, and the figure that it gives, 1 for perfection."""

    name: str
    of: Callable[[Sequence[Outcome]], float | None]


def nab_series(scored: Sequence[Outcome]) -> dict[str, Scored]:
    """Whole series with windows or none, which begin with the rows that teach; those score least."""
    found = {}
    for outcome in scored:
        if not outcome.log.record.labelled:
            continue
        taught = np.array(outcome.log.labels[: outcome.log.record.teaches : outcome.step])
        silent = np.full(len(taught), -np.inf)
        labels = np.concatenate([taught, outcome.labels])
        found[outcome.log.record.name] = Scored(
            score=np.concatenate([silent, outcome.score - outcome.threshold]),
            windows=tuple((begin, end - 1) for begin, end in stretches(labels)),
        )
    return found


def nab_controls(series: Mapping[str, Scored]) -> dict[str, float] | None:
    """By profile, the best that noise, the row's number or an alarm that is always on gets."""
    noise = np.random.default_rng(0)
    controls = [
        {
            n: dataclasses.replace(s, score=6.0 * noise.random(len(s.score)))
            for n, s in series.items()
        },
        {
            n: dataclasses.replace(s, score=np.linspace(0.0, 6.0, len(s.score)))
            for n, s in series.items()
        },
        {n: dataclasses.replace(s, score=np.ones(len(s.score))) for n, s in series.items()},
    ]
    found = [scores for c in controls if (scores := profile_scores(c)) is not None]
    if not found:
        return None
    return {profile: max(scores[profile] for scores in found) for profile in nab.PROFILES}


def _mean_auc(scored: Sequence[Outcome]) -> float | None:
    return mean(aucs(scored))


def _standard(scored: Sequence[Outcome]) -> float | None:
    scores = profile_scores(nab_series(scored))
    return None if scores is None else scores[_STANDARD] / 100.0


ROC_AUC = Quality(name="ROC-AUC", of=_mean_auc)
NAB = Quality(name="NAB score, standard profile of 1,", of=_standard)

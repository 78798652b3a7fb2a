"""Scores of logs that are longer than the memory: some are kept, and everything is counted."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from components.anomaly_trainer.evaluation import evaluation, outcomes
from components.series import Log, LogRecord
from edge_agent.anomaly.alarm import AlarmPolicy
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.scoring import PARTS, Scorer, ScoringSettings
from edge_agent.anomaly.threshold import ThresholdRule
from edge_agent.anomaly.zscore import ZScoreSettings

_TAUGHT = 400


def _log(folder: Path, rows: int) -> Log:
    """One channel on the disk; a tenth of each 10,000 rows is a fault."""
    path = folder / f"{rows}.npy"
    values = np.random.default_rng(0).normal(size=(rows, 1))
    labels = np.arange(rows) % 10_000 >= 9_000
    values[labels] += 6.0
    np.save(path, values)
    return Log(
        record=LogRecord(name="long.csv", rows=rows, labelled=True, teaches=_TAUGHT),
        rows=np.load(path, mmap_mode="r"),
        labels=labels,
        seconds=np.arange(float(rows)),
    )


@pytest.fixture
def scorer() -> Scorer:
    scorer = Scorer(
        ScoringSettings(
            detectors=DetectorSettings(z_score=ZScoreSettings(alpha=0.5)),
            threshold=ThresholdRule(stretch=1.5),
            alarm=AlarmPolicy(),
            warm_up_rows=_TAUGHT,
            per_machine=PARTS,
        )
    )
    scorer.learn(np.random.default_rng(1).normal(size=(_TAUGHT, 1)))
    return scorer


def test_of_very_many_rows_some_scores_are_kept_and_all_alarms_counted(tmp_path, scorer):
    log = _log(tmp_path, 150_000)
    (whole,) = outcomes(scorer, [log])
    (some,) = outcomes(scorer, [log], most_kept=10_000)
    assert (whole.step, some.step) == (1, 15)
    assert np.array_equal(some.score, whole.score[::15])
    assert np.array_equal(some.labels, whole.labels[::15])
    assert some.alarms == whole.alarms
    figures = [evaluation(found) for found in ([whole], [some])]
    assert figures[0]["rows"] == figures[1]["rows"] == 150_000 - _TAUGHT
    assert figures[0]["missed_rate"] == figures[1]["missed_rate"] < 0.05
    assert len(figures[1]["files"][0]["delays"]) == 15
    assert figures[1]["roc_auc"] == pytest.approx(figures[0]["roc_auc"], abs=0.01)


def test_memory_does_not_grow_with_the_log(tmp_path, scorer):
    peaks = []
    for rows in (200_000, 400_000):
        log = _log(tmp_path, rows)
        tracemalloc.start()
        evaluation(outcomes(scorer, [log], most_kept=5_000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]

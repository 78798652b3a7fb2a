"""One stretch for all logs: what unlabelled and labelled ones have to say about it."""

from __future__ import annotations

import numpy as np
import pytest

from components.anomaly_trainer.calibration import STRETCHES, choose_stretch, rates
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.evaluation import Outcome
from components.series import Log, LogRecord
from edge_agent.anomaly.metrics import alarm_quality

PARAMETERS = AnomalyTrainerParameters(aim_false_alarms=0.1, aim_missed=0.25, aim_unlabelled=0.01)


def outcome(name: str, score: np.ndarray, labels: np.ndarray | None = None) -> Outcome:
    """A log whose threshold lies at 2, for normal scores around 1."""
    labelled = labels is not None
    marks = np.zeros(len(score), bool) if labels is None else labels
    record = LogRecord(name=name, rows=len(score), labelled=labelled, teaches=0)
    return Outcome(
        log=Log(record=record, rows=score[:, None], labels=marks, seconds=np.arange(len(score))),
        step=1,
        score=score,
        labels=marks,
        rows=len(score),
        alarms=alarm_quality(marks, marks),
        threshold=2.0,
        typical=1.0,
        state_bytes=0,
    )


def normal(name: str, highest: float = 3.0) -> Outcome:
    """Unlabelled, its scores evenly from 0 to `highest`."""
    return outcome(name, np.linspace(0.0, highest, 1000))


def failing(name: str, level: float = 5.0) -> Outcome:
    """Labelled: normal rows score 0 to 3, and the last quarter around `level`."""
    score = np.concatenate([np.linspace(0.0, 3.0, 750), np.linspace(level - 1, level + 1, 250)])
    return outcome(name, score, np.arange(1000) >= 750)


LOGS = [normal("a"), normal("b"), normal("c"), failing("d"), failing("e")]


def test_the_stretch_comes_nearest_to_both_aims():
    chosen = choose_stretch(LOGS, PARAMETERS)
    assert chosen.strays == ()
    false, missed = rates(LOGS, chosen.factor)
    assert false is not None
    assert false <= 0.1
    assert missed is not None
    assert missed <= 0.25
    # The smallest of those that do as well.
    assert min(STRETCHES) < chosen.factor < 4.0


def test_a_log_that_has_left_what_it_was_taught_moves_no_threshold_of_others():
    chosen = choose_stretch([*LOGS, normal("drifted", highest=60.0)], PARAMETERS)
    assert chosen.strays == ("drifted",)
    assert chosen.factor == choose_stretch(LOGS, PARAMETERS).factor


def test_nor_does_it_where_nothing_is_labelled():
    normals = LOGS[:3]
    drifted = normal("drifted", highest=60.0)
    chosen = choose_stretch([*normals, drifted], PARAMETERS)
    assert chosen.strays == ("drifted",)
    assert chosen.factor == choose_stretch(normals, PARAMETERS).factor


def test_an_unlabelled_log_with_some_alarms_counts_as_normal():
    more = [*LOGS, normal("restless", highest=4.5)]
    chosen = choose_stretch(more, PARAMETERS)
    assert chosen.strays == ()
    assert chosen.factor > choose_stretch(LOGS, PARAMETERS).factor


def test_normal_rows_that_are_labelled_so_always_count():
    labelled = outcome("known", np.linspace(0.0, 60.0, 1000), np.zeros(1000, bool))
    assert choose_stretch([*LOGS, labelled], PARAMETERS).strays == ()


@pytest.mark.parametrize("others", [0, 1, 2])
def test_where_many_logs_stray_it_is_the_teaching_and_all_count(others):
    logs = [*LOGS[3 : 3 + others], normal("drifted", highest=60.0)]
    assert choose_stretch(logs, PARAMETERS).strays == ()


def test_a_stretch_that_was_asked_for_is_taken():
    parameters = AnomalyTrainerParameters(stretch=3.0)
    chosen = choose_stretch([*LOGS, normal("drifted", highest=60.0)], parameters)
    assert (chosen.factor, chosen.strays) == (3.0, ("drifted",))

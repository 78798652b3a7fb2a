"""Faults planted into normal logs, to tell detectors apart where nothing is labelled.

Goswami et al., "Unsupervised model selection for time-series anomaly detection", ICLR 2023: how well a
detector finds synthetic anomalies in the normal rows of a data set tells how well it finds real ones.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from components.series import Log
from edge_agent.anomaly.normaliser import fit

_MOST_ROWS = 20_000
_SHIFT = 3.0  # normal deviations


def planted(log: Log, number: int) -> Log:
    """A copy of the log's beginning in whose last part a channel is shifted, then another is still.

    Args:
        log: normal throughout.
        number: picks the channels.
    """
    teaches = log.record.teaches
    rows = np.array(log.rows[: teaches + _MOST_ROWS], np.float64)
    labels = np.zeros(len(rows), bool)
    scored = len(rows) - teaches
    channels = rows.shape[1]
    spread = fit(rows[:teaches], "moments").scale
    for fault, (begin, end) in enumerate(((0.3, 0.5), (0.7, 0.9))):
        stretch = slice(teaches + round(begin * scored), teaches + round(end * scored))
        channel = (number + fault) % channels
        if fault:
            rows[stretch, channel] = rows[stretch.start, channel]
        else:
            rows[stretch, channel] += _SHIFT * spread[channel]
        labels[stretch] = True
    return dataclasses.replace(
        log, rows=rows, labels=labels, seconds=np.array(log.seconds[: len(rows)])
    )

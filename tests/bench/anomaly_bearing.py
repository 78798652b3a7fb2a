"""Bearing faults mixed into healthy vibration of the same speed, and a healthy speed never seen.

Unmixed, loudness alone tells them apart. The settings were chosen on the inner race's fault and on
the first half of the unseen speed; the outer race and the second half are reported beside them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io

from components.series_transform.mixing import mix
from edge_agent.anomaly.alarm import AlarmPolicy
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.metrics import roc_auc
from edge_agent.anomaly.pca import PcaSettings
from edge_agent.anomaly.rows import Rows
from edge_agent.anomaly.scoring import Scorer, ScoringSettings
from edge_agent.anomaly.threshold import ThresholdRule
from edge_agent.features.series import VibrationFeatures

FEATURES = VibrationFeatures(sample_rate=51_200, window=8192, segment=128, bands=8, hop=4096)
SETTINGS = ScoringSettings(
    detectors=DetectorSettings(pca=PcaSettings(lags=1, variance=0.8)),
    threshold=ThresholdRule(kind="peaks", rate=0.01, margin=0.3),
    alarm=AlarmPolicy(),
    smoothing=0.3,
)
FAULTS = {"inner race": "IR5_900", "outer race": "OR2_900"}
LEVELS_DB = (-12.0, -18.0)
_TRAINED = 0.7

Signal = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured.

    Attributes:
        auc: by fault and level, windows of fault in healthy signal against healthy ones.
        loudness_auc: the same for the root mean square of the window alone.
        false_alarms: share of healthy windows of the unseen speed, by half of the recording.
        hits: share of windows at -12 dB that alarm there, by fault.
    """

    auc: dict[tuple[str, float], float]
    loudness_auc: dict[tuple[str, float], float]
    false_alarms: tuple[float, float]
    hits: dict[str, float]


def run(folder: Path) -> Found:
    """Learns from healthy signal alone, and measures."""
    signals = {name: _load(folder, name) for name in ("Normal_600", "Normal_900", *FAULTS.values())}
    healthy = signals["Normal_900"]
    cut = round(_TRAINED * len(healthy))
    both = _learned(
        np.concatenate([FEATURES.of(signals[n][:cut]) for n in ("Normal_600", "Normal_900")])
    )
    auc, loudness = {}, {}
    for fault, name in FAULTS.items():
        for level in LEVELS_DB:
            mixed = mix(healthy[cut:], signals[name][cut:], level)
            auc[fault, level] = _auc(
                _scores(both, healthy[cut:]),
                _scores(both, mixed),
            )
            loudness[fault, level] = _auc(_levels(healthy[cut:]), _levels(mixed))
    other = _learned(FEATURES.of(signals["Normal_600"]))
    unseen = _scores(other, healthy) >= other.threshold
    first, second = np.array_split(unseen, 2)
    hits = {}
    for fault, name in FAULTS.items():
        mixed = mix(healthy, signals[name], LEVELS_DB[0])
        hits[fault] = float((_scores(other, mixed) >= other.threshold).mean())
    return Found(
        auc=auc,
        loudness_auc=loudness,
        false_alarms=(float(first.mean()), float(second.mean())),
        hits=hits,
    )


def _learned(rows: Rows) -> Scorer:
    scorer = Scorer(SETTINGS)
    scorer.learn(rows)
    return scorer


def _scores(scorer: Scorer, signal: Signal) -> Signal:
    """Of each window of a stream of its own."""
    scorer.restart()
    return scorer.process(FEATURES.of(signal)).score


def _auc(normal: Signal, anomalous: Signal) -> float:
    labels = np.repeat([False, True], [len(normal), len(anomalous)])
    return roc_auc(np.concatenate([normal, anomalous]), labels) or 0.0


def _levels(signal: Signal) -> Signal:
    windows = np.lib.stride_tricks.sliding_window_view(signal, FEATURES.window)
    levels: Signal = windows[:: FEATURES.step].std(axis=1)
    return levels


def _load(folder: Path, name: str) -> Signal:
    content = scipy.io.loadmat(folder / "spectraquest_mfs" / f"{name}.mat")
    (key,) = [key for key in content if not key.startswith("__")]
    return np.asarray(content[key], np.float64).ravel()

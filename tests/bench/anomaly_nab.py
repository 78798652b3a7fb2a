"""NAB's twelve series, strictly causal: learned on the probation, scored once, row by row.

The threshold of a series is the one that does best on the other series; a detection mutes the next
`_REFRACTORY` rows. The settings are chosen on every second series in the order of their names, each
threshold there coming from the others of that half; the other half is reported with the threshold
of the chosen half, so that nothing of it decides anything.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly import nab, normaliser
from edge_agent.anomaly.detectors import DetectorSettings, make_detector
from edge_agent.anomaly.gaussian import Feature, GaussianSettings
from edge_agent.anomaly.rows import ExponentialMean, Rows
from edge_agent.anomaly.threshold import ThresholdRule, threshold

_REFRACTORY = 100
_GRID = np.arange(-2.0, 8.01, 0.15)
_RULE = ThresholdRule(kind="quantile", rate=0.01)
_FEATURES: tuple[tuple[Feature, ...], ...] = (
    ("level", "change"),
    ("level", "change", "mean"),
    ("level", "mean"),
    ("change", "mean"),
)

Score = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """One series and its labelled windows, as first and last row."""

    rows: Rows
    windows: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured.

    Attributes:
        taken: the settings that did best on the half chosen on.
        scores: for each part of the series, our score and the best control's by profile.
    """

    taken: str
    scores: dict[str, tuple[dict[str, float], dict[str, float]]]


def run(folder: Path) -> Found:
    """Chooses on one half and reports all."""
    data = load(folder)
    names = tuple(data)
    half, other = names[::2], names[1::2]
    tables = {str(c): Table(data, c.score) for c in candidates()}
    for name, table in tables.items():
        figures = [f"{table.own(half, p):5.1f}" for p in nab.PROFILES]
        print(f"NAB   {name:75} chosen on {' '.join(figures)}")
    taken = max(tables, key=lambda n: sum(tables[n].own(half, p) for p in nab.PROFILES))
    noise = np.random.default_rng(0)
    controls = [
        Table(data, lambda rows: 6.0 * noise.random(len(rows))),
        Table(data, lambda rows: np.linspace(0.0, 6.0, len(rows))),
        Table(data, lambda rows: np.ones(len(rows))),
    ]

    def by_profile(
        score: Callable[[Table, str], float],
    ) -> tuple[dict[str, float], dict[str, float]]:
        return (
            {p: score(tables[taken], p) for p in nab.PROFILES},
            {p: max(score(control, p) for control in controls) for p in nab.PROFILES},
        )

    return Found(
        taken=taken,
        scores={
            "all series": by_profile(lambda table, p: table.own(names, p)),
            "half chosen on": by_profile(lambda table, p: table.own(half, p)),
            "other half": by_profile(lambda table, p: table.given(other, half, p)),
        },
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A slow Gaussian, and the smoothing of its log score over what its probation gave."""

    gaussian: GaussianSettings
    smoothing: float

    def __str__(self) -> str:
        g = self.gaussian
        return (
            f"{', '.join(g.features)}; alpha {g.alpha}, short {g.short}, smoothing {self.smoothing}"
        )

    def score(self, rows: Rows) -> Score:
        """The score over the level that one in a hundred rows of the probation exceed."""
        begin = nab.probation(len(rows))
        seen = normaliser.fit(rows[:begin], "robust").apply(rows)
        detector = make_detector(DetectorSettings(gaussian=self.gaussian))
        detector.learn(seen[:begin])
        logs = np.log1p(detector.process(seen).sum(axis=1, keepdims=True))
        smooth = ExponentialMean(self.smoothing).process(logs)[:, 0]
        return smooth - threshold(smooth[detector.run_in : begin], _RULE)


def candidates() -> list[Candidate]:
    """Every setting that is tried."""
    return [
        Candidate(
            gaussian=GaussianSettings(alpha=alpha, short=short, features=features),
            smoothing=smoothing,
        )
        for features, alpha, short, smoothing in itertools.product(
            _FEATURES, (0.0005, 0.001, 0.002), (0.1, 0.05), (1.0, 0.3)
        )
        if "mean" in features or short == 0.1
    ]


class Table:
    """What each series earns at each threshold."""

    def __init__(self, data: Mapping[str, Recording], score: Callable[[Rows], Score]) -> None:
        """Scores every series once."""
        self._data = data
        self._earned: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
        for name, recording in data.items():
            scores = score(recording.rows)
            found = [
                nab.Series(
                    rows=len(scores), windows=recording.windows, detections=detect(scores, level)
                )
                for level in _GRID
            ]
            for label, profile in nab.PROFILES.items():
                earned = [nab.raw_score(series, profile) for series in found]
                self._earned[name, label] = np.array(earned)
        self.given = functools.cache(self._given)
        self.own = functools.cache(self._own)

    def _own(self, names: tuple[str, ...], profile: str) -> float:
        """The score of `names`, the threshold of each from the others of them."""
        places = {n: self._best([m for m in names if m != n], profile) for n in names}
        return self._score(places, profile)

    def _given(self, names: tuple[str, ...], others: tuple[str, ...], profile: str) -> float:
        """The score of `names` with the one threshold that is best for `others`."""
        return self._score(dict.fromkeys(names, self._best(others, profile)), profile)

    def _best(self, names: Sequence[str], profile: str) -> int:
        return int(np.sum([self._earned[name, profile] for name in names], axis=0).argmax())

    def _score(self, places: Mapping[str, int], profile: str) -> float:
        windows = sum(len(self._data[name].windows) for name in places)
        silence = -nab.PROFILES[profile].miss * windows
        earned = sum(float(self._earned[name, profile][place]) for name, place in places.items())
        return 100.0 * (earned - silence) / (windows - silence)


def detect(scores: Score, level: float) -> npt.NDArray[np.int64]:
    """Rows after the probation at or above `level`, each muting those soon after it."""
    begin = nab.probation(len(scores))
    found: list[int] = []
    for row in (np.flatnonzero(scores[begin:] >= level) + begin).tolist():
        if not found or row - found[-1] > _REFRACTORY:
            found.append(row)
    return np.array(found, np.int64)


def load(folder: Path) -> dict[str, Recording]:
    """The series in the order of their names."""
    labelled = json.loads((folder / "anomaly_windows.json").read_text(encoding="utf-8"))
    found = {}
    for path in sorted(folder.glob("*/*.csv")):
        with path.open() as file:
            cells = list(csv.reader(file))[1:]
        times = [time for time, _ in cells]
        windows = []
        for begin, end in labelled[f"{path.parent.name}/{path.name}"]:
            within = [i for i, time in enumerate(times) if begin[:19] <= time <= end[:19]]
            windows.append((within[0], within[-1]))
        found[path.stem] = Recording(
            rows=np.array([[float(value)] for _, value in cells]), windows=tuple(windows)
        )
    return found

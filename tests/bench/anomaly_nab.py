"""NAB's twelve series, strictly causal: learned on the probation, scored once, row by row.

The threshold of a series is the one that does best on the other series (components.anomaly_trainer.
nab_table). The settings are chosen on every second series in the order of their names, each
threshold there coming from the others of that half; the other half is reported with the threshold
of the chosen half, so that nothing of it decides anything. The mean of several speeds that the recipe
takes stands beside them; it was picked among a few such means with all series in view, as was the share of
the probation that a detection mutes. Where the halves lie is chance: of the recipe's, random halves are
reported too, each series by the threshold of six others.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.nab_table import Score, Scored, Table
from edge_agent.anomaly import nab, normaliser
from edge_agent.anomaly.detectors import DetectorSettings, make_detector
from edge_agent.anomaly.gaussian import Feature, GaussianSettings
from edge_agent.anomaly.rows import ExponentialMean, Rows
from edge_agent.anomaly.threshold import ThresholdRule, threshold

_RULE = ThresholdRule(kind="quantile", rate=0.01)
_FEATURES: tuple[tuple[Feature, ...], ...] = (
    ("level", "change"),
    ("level", "change", "mean"),
    ("level", "mean"),
    ("change", "mean"),
)


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
        scores: for each part of the series, our score and the best control's by profile; of the settings
            taken, and of the recipe's.
    """

    taken: str
    scores: dict[str, tuple[dict[str, float], dict[str, float]]]


_ByProfile = tuple[dict[str, float], dict[str, float]]


def run(folder: Path) -> Found:
    """Chooses on one half and reports all."""
    data = load(folder)
    names = tuple(data)
    half, other = names[::2], names[1::2]
    tables = {str(c): _table(data, c.score) for c in candidates()}
    for name, table in tables.items():
        figures = [f"{table.own(half, p):5.1f}" for p in nab.PROFILES]
        print(f"NAB   {name:75} chosen on {' '.join(figures)}")
    taken = max(tables, key=lambda n: sum(tables[n].own(half, p) for p in nab.PROFILES))
    noise = np.random.default_rng(0)
    controls = [
        _table(data, lambda rows: 6.0 * noise.random(len(rows))),
        _table(data, lambda rows: np.linspace(0.0, 6.0, len(rows))),
        _table(data, lambda rows: np.ones(len(rows))),
    ]

    def by_profile(ours: Table, score: Callable[[Table, str], float]) -> _ByProfile:
        return (
            {p: score(ours, p) for p in nab.PROFILES},
            {p: max(score(control, p) for control in controls) for p in nab.PROFILES},
        )

    scores = {}
    recipe = _table(data, _recipe().score)
    for which, ours in (("one speed", tables[taken]), ("recipe", recipe)):
        scores |= {
            f"{which}, all series": by_profile(ours, lambda table, p: table.own(names, p)),
            f"{which}, half chosen on": by_profile(ours, lambda table, p: table.own(half, p)),
            f"{which}, other half": by_profile(ours, lambda table, p: table.given(other, half, p)),
        }
    halves = _random_halves(names)
    scores["recipe, thirty random halves"] = by_profile(
        recipe,
        lambda table, p: float(np.mean([table.given(ours, others, p) for ours, others in halves])),
    )
    return Found(taken=taken, scores=scores)


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


def _random_halves(
    names: tuple[str, ...],
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Thirty ways to halve the series, each both ways round: those judged, those that give the threshold."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(30):
        order = [names[place] for place in random.permutation(len(names))]
        first, second = tuple(order[::2]), tuple(order[1::2])
        found += [(first, second), (second, first)]
    return found


def _recipe() -> Candidate:
    """The recipe's detector for series of NAB's form."""
    parameters = AnomalyTrainerParameters()
    gaussian = GaussianSettings(
        alphas=parameters.gaussian_alphas, shorts=parameters.gaussian_shorts
    )
    return Candidate(gaussian=gaussian, smoothing=0.3)


def candidates() -> list[Candidate]:
    """Every setting that is tried for one speed."""
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


def _table(data: Mapping[str, Recording], score: Callable[[Rows], Score]) -> Table:
    return Table(
        {
            name: Scored(score=score(recording.rows), windows=recording.windows)
            for name, recording in data.items()
        }
    )


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

"""Detectors of anomalies on SKAB, NAB and bearings, beside what says nothing, and what a row costs.

Every setting is chosen on a stated half of the files; the figures of the other half stand beside
those of all. The peer of a figure is the best of the controls, which know nothing: noise, the row's
number, and an alarm that is always on; for bearings it is the window's loudness; of a cost, the limit
of what a device may spend.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import dataclasses
import io
import time

import numpy as np

from edge_agent.anomaly import nab
from edge_agent.anomaly.scoring import Scorer
from edge_agent.sources.table import Table
from tests.bench import anomaly_bearing, anomaly_nab, anomaly_skab
from tests.bench.table import Figure, data_folder, publish

_MILLION = 1_000_000


def main() -> None:
    """Measures everything and publishes it."""
    publish("anomaly", [*_skab(), *_nab(), *_bearing(), *_cost()])


def _skab() -> list[Figure]:
    data = anomaly_skab.load(data_folder("skab"))
    names = list(data)
    half = set(names[::2])
    runs = {}
    for name, settings in anomaly_skab.CANDIDATES.items():
        runs[name], state = anomaly_skab.run(data, settings)
        auc = [
            anomaly_skab.mean_auc([e for e in runs[name] if (e.name in half) is chosen])
            for chosen in (True, False)
        ]
        print(f"SKAB  {name:58} chosen on {auc[0]:.4f}  other {auc[1]:.4f}  {state:6d} B")
    best = max(runs, key=lambda n: anomaly_skab.mean_auc([e for e in runs[n] if e.name in half]))
    margin = anomaly_skab.choose_margin([e for e in runs[best] if e.name in half])
    print(f"SKAB  taken: {best}, margin {margin:.1f}")
    for e in runs[best]:
        found = anomaly_skab.outcome([e], margin)
        print(
            f"SKAB  {e.name:16} {'chosen on' if e.name in half else 'other':9} "
            f"AUC {found.roc_auc:.3f}  false {found.false_alarms:.3f}  missed {found.missed:.3f}"
        )
    noise = np.random.default_rng(0)
    controls = [
        anomaly_skab.control(data, lambda rows: np.arange(rows, dtype=float), 600.0),
        anomaly_skab.control(data, lambda rows: noise.random(rows), 0.5),
        anomaly_skab.control(data, np.ones, 1.0),
    ]
    figures = []
    for which, taken in (
        ("all files", set(names)),
        ("half chosen on", half),
        ("other half", set(names) - half),
    ):
        ours = anomaly_skab.outcome([e for e in runs[best] if e.name in taken], margin)
        known = [anomaly_skab.outcome([e for e in run if e.name in taken], 0.0) for run in controls]
        for field in ("roc_auc", "pr_auc", "f1"):
            peer = max(getattr(c, field) for c in known)
            figures.append(_figure(f"SKAB, {which}: {field}", getattr(ours, field), peer, ""))
        figures += [
            # Noise at its middle: half of either kind.
            _figure(f"SKAB, {which}: false alarms", ours.false_alarms, 0.5, "of normal rows"),
            _figure(f"SKAB, {which}: missed", ours.missed, 0.5, "of anomalous rows"),
            _figure(f"SKAB, {which}: delay", ours.delay, 0.0, "rows, median"),
        ]
    return figures


def _nab() -> list[Figure]:
    found = anomaly_nab.run(data_folder("nab"))
    print(f"NAB   taken: {found.taken}")
    return [
        _figure(f"NAB {profile}, {which}", ours[profile], controls[profile], "of 100")
        for which, (ours, controls) in found.scores.items()
        for profile in nab.PROFILES
    ]


def _bearing() -> list[Figure]:
    found = anomaly_bearing.run(data_folder("hit_sm_bearing"))
    figures = [
        _figure(f"bearing, {fault} at {level:.0f} dB: ROC-AUC", auc, found.loudness_auc[key], "")
        for key, auc in found.auc.items()
        for fault, level in [key]
    ]
    for half, share in zip(("half chosen on", "other half"), found.false_alarms, strict=True):
        figures.append(
            _figure(f"bearing, speed never seen, {half}: false alarms", share, 0.0, "of windows")
        )
    for fault, share in found.hits.items():
        figures.append(
            _figure(f"bearing, speed never seen: {fault} at -12 dB found", share, 0.0, "of windows")
        )
    return figures


def _cost() -> list[Figure]:
    # CPU time: how busy the machine is besides tells nothing about a row.
    data = anomaly_skab.load(data_folder("skab"))
    rows, _ = next(iter(data.values()))
    settings = anomaly_skab.CANDIDATES["PCA over 8 lags, wandering seen, smoothing 0.05"]
    scorer = Scorer(dataclasses.replace(settings, per_machine=()))
    scorer.learn(rows[: anomaly_skab.WARM_UP])
    scorer.process(rows[:500])
    begin = time.process_time()
    for place in range(1000):
        scorer.process(rows[place % len(rows)][None, :])
    one = (time.process_time() - begin) / 1000
    many = np.tile(rows, (20, 1))
    begin = time.process_time()
    for place in range(0, len(many), 4096):
        scorer.process(many[place : place + 4096])
    block = (time.process_time() - begin) / len(many)
    line = ",".join(f"{value:.6g}" for value in rows[0])
    header = ",".join(f"c{i}" for i in range(rows.shape[1]))
    text = f"time,{header}\n" + f"2026-01-01 00:00:00,{line}\n" * 50_000
    begin = time.process_time()
    table = Table(io.BytesIO(text.encode()), "made", header.split(","))
    read = sum(len(part.rows) for part in table.blocks())
    reading = (time.process_time() - begin) / read
    model = sum(array.nbytes for array in scorer.parameters().values())
    return [
        _figure("a row alone, PCA over 8 lags of 8 channels", one * 1e6, 100.0, "us"),
        _figure("a row in a block of 4096", block * 1e6, 100.0, "us"),
        _figure("reading a row of CSV", reading * 1e6, 60.0, "us"),
        _figure("a million rows of CSV read and scored", (block + reading) * _MILLION, 60.0, "s"),
        _figure("parameters", float(model), 20_480.0, "B"),
    ]


def _figure(name: str, ours: float, peer: float, unit: str) -> Figure:
    return Figure(figure=name, ours=round(ours, 4), peer=round(peer, 4), unit=unit)


if __name__ == "__main__":
    main()

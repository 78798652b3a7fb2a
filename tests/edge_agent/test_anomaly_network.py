"""A network among the detectors: what it cannot give back or foretell scores, by channel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.anomaly_packager.build import Identity, PackedNetwork, build
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.network import Network, NetworkSettings, codes_of, windows
from edge_agent.anomaly.rows import Lags
from edge_agent.anomaly.scoring import Scorer
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import Budget
from edge_agent.watching.bundle import WatchError, open_scorer
from tests.fixtures.anomaly_bundles import CHANNELS, SETTINGS, machine_rows

WINDOW = 4
TASKS = ("reconstruct", "forecast")


def mean_row(seen):
    """A network that knows nothing but that rows are like the mean of their window."""
    return np.repeat(seen.mean(axis=1, keepdims=True), seen.shape[1], axis=1).reshape(len(seen), -1)


PREDICTS = {"reconstruct": mean_row, "forecast": lambda seen: seen.mean(axis=1)}


def learned(task):
    detector = Network(NetworkSettings(task=task, window=WINDOW), PREDICTS[task])
    detector.learn(np.random.default_rng(1).normal(size=(500, 3)))
    return detector


@pytest.mark.parametrize("task", TASKS)
def test_what_is_unlike_its_window_scores_in_its_channel(task):
    rows = np.random.default_rng(2).normal(size=(300, 3))
    rows[200, 1] += 12.0
    detector = learned(task)
    shares = detector.process(rows)
    assert shares.shape == (300, 3)
    assert shares[20:200].sum(axis=1).mean() == pytest.approx(1.0, abs=0.2)
    assert shares[200].sum() > 2
    assert shares[200].argmax() == 1


@pytest.mark.parametrize("task", TASKS)
def test_rows_score_alike_however_they_come(task):
    rows = np.random.default_rng(3).normal(size=(50, 3))
    detector = learned(task)
    whole = detector.process(rows)
    detector.restart()
    pieces = [detector.process(piece) for piece in np.split(rows, [1, 2, 7, 30])]
    np.testing.assert_allclose(np.concatenate(pieces), whole)


def test_the_window_is_in_the_order_of_time_and_compressed():
    rows = np.arange(12.0).reshape(6, 2)
    settings = NetworkSettings(task="forecast", window=3)
    seen, after = windows(Lags(4).process(rows)[3:], 2, settings)
    np.testing.assert_allclose(np.sinh(seen[0]), rows[:3])
    np.testing.assert_allclose(np.sinh(after[0]), rows[3])


def test_codes_reach_far_beyond_normal_and_are_fine_near_it():
    codes = codes_of(np.arcsinh(np.array([0.0, 0.05, 1.0, 26.0, -26.0, 1e6])))
    assert codes.tolist() == [0, 2, 28, 126, -126, 127]


def test_without_its_file_it_does_not_score():
    settings = DetectorSettings(network=NetworkSettings(window=WINDOW))
    with pytest.raises(ValueError, match=r"\.tflite file is missing"):
        Scorer(dataclasses.replace(SETTINGS, detectors=settings)).learn(machine_rows(200))


def bundle_with(network: PackedNetwork | None) -> bytes:
    settings = DetectorSettings(network=NetworkSettings(window=WINDOW))
    scorer = Scorer(dataclasses.replace(SETTINGS, detectors=settings), mean_row)
    rows = machine_rows(500)
    scorer.learn(rows)
    identity = Identity(name="pump", licence="CC0-1.0", lineage="", card="", alarms_per_hour=1.0)
    budget = Budget(latency_ms=1.0, memory_bytes=1)
    return build(scorer, CHANNELS, rows, identity, budget, network)


def test_a_bundle_names_its_network_and_a_broken_one_is_refused_by_name():
    network = PackedNetwork(
        model=b"no model",
        conversion={
            "operators": [{"name": "FULLY_CONNECTED", "version": 4, "count": 2}],
            "macs": 9,
        },
        infra={"arena_bytes": 2000, "targets": [{"target": "tflm", "ok": True}]},
    )
    bundle = archive.unpack(bundle_with(network))
    assert bundle.manifest.schema_version == "1.7"
    assert bundle.manifest.targets == ("tflm",)
    assert bundle.manifest.network.macs == 9
    with pytest.raises(WatchError, match="the network of the bundle"):
        open_scorer(bundle)


def test_settings_of_a_network_without_one_are_no_bundle():
    with pytest.raises(archive.BundleError, match="must be there together"):
        bundle_with(None)

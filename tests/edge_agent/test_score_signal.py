"""A bundle that was taught with signals scores a WAV file or stream on the device."""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from components.anomaly_packager.build import Identity, build
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.pca import PcaSettings
from edge_agent.anomaly.scoring import Scorer
from edge_agent.bundle.manifest import Budget
from edge_agent.features.series import VibrationFeatures
from edge_agent.watching.vibration import VibrationRows
from tests.fixtures.anomaly_bundles import SETTINGS, write_anomaly_bundle

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
FEATURES = VibrationFeatures(sample_rate=RATE, window=1024, segment=64, bands=4, hop=512)


def signal(seconds: float, seed: int = 0):
    return 0.1 * np.random.default_rng(seed).normal(size=round(seconds * RATE))


def made(folder: Path, features: VibrationFeatures, rows) -> Path:
    settings = dataclasses.replace(
        SETTINGS, detectors=DetectorSettings(pca=PcaSettings(lags=1, variance=0.8))
    )
    scorer = Scorer(settings)
    scorer.learn(rows)
    identity = Identity(name="fan", licence="CC0-1.0", lineage="", card="", alarms_per_hour=1.0)
    budget = Budget(latency_ms=1.0, memory_bytes=1)
    path = folder / "fan.bundle"
    path.write_bytes(build(scorer, features.names, rows, identity, budget, None, features))
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("signals"), FEATURES, FEATURES.of(signal(60)))


def score(
    bundle: Path, *arguments: object, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edge_agent", "score", "--bundle", bundle, *arguments]
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, input=stdin, capture_output=True, check=False
    )


def wav(samples, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV")
    return buffer.getvalue()


def test_rows_are_the_same_however_the_samples_come():
    samples = signal(3, seed=1)[:, None]
    whole = FEATURES.of(samples[:, 0])
    rows = VibrationRows(FEATURES)
    blocks = [rows.take(piece) for piece in np.split(samples, [1, 700, 5000, 5001, 20_000])]
    np.testing.assert_allclose(np.concatenate([b.rows for b in blocks]), whole)
    times = [time for block in blocks for time in block.times]
    assert times[:3] == ["0.000", "0.064", "0.128"]
    assert len(times) == len(whole)


def test_ringing_in_a_stream_alarms_in_its_band(bundle):
    samples = signal(12, seed=2)
    ring = np.exp(-np.arange(60) / 10) * np.sin(2 * np.pi * 1500 / RATE * np.arange(60))
    for begin in range(6 * RATE, 10 * RATE, 400):
        samples[begin : begin + 60] += 0.8 * ring
    done = score(bundle, "--wav", "-", "--json", stdin=wav(samples))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == FEATURES.count(len(samples))
    on = [line for line in lines if line["anomaly"]]
    assert 5.5 < float(on[0]["time"]) < 7.0
    assert {line["channel"] for line in on if 7 < float(line["time"]) < 9} == {"kurtosis 1000 Hz"}


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (wav(signal(1), 16_000), "1 channels at 16000 Hz, and the bundle takes 1 at 8000 Hz"),
        (b"time,flow\n1,2\n", "standard input: is not a WAV file"),
    ],
)
def test_another_rate_or_no_wav_is_one_plain_line(bundle, stdin, message):
    done = score(bundle, "--wav", "-", stdin=stdin)
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_bundle_of_rows_takes_no_signal(tmp_path):
    done = score(write_anomaly_bundle(tmp_path / "a.bundle"), "--wav", "-", stdin=wav(signal(1)))
    assert done.returncode == 1
    assert b"takes rows, not a signal: give --csv" in done.stderr


def test_a_bundle_of_signals_takes_no_rows(bundle):
    done = score(bundle, "--csv", "-", stdin=b"time,flow\n1,2\n")
    assert done.returncode == 1
    assert b"takes a signal, not rows: use score --wav" in done.stderr


def turning(seconds: float, rpm: float, third: float, seed: int):
    """A shaft that hums at its speed, as its load is, and as loud as `third` at three times its speed."""
    t = np.arange(round(seconds * RATE)) / RATE
    load = 1 + 0.5 * np.sin(2 * np.pi * t / 7)
    hum = load * np.sin(2 * np.pi * rpm / 60 * t) + third * np.sin(6 * np.pi * rpm / 60 * t)
    return 0.1 * hum + 0.1 * signal(seconds, seed)


def test_orders_take_the_shaft_s_speed_and_find_the_order_that_grew(tmp_path):
    features = dataclasses.replace(FEATURES, window=4096, hop=2048, orders=4)
    rows = np.concatenate([features.of(turning(60, r, 0.01, i), r / 60) for i, r in
                           enumerate((1200, 1500))])  # fmt: skip
    bundle = made(tmp_path, features, rows)
    # Healthy at a speed that was never seen, then with a third order that has grown.
    samples = np.concatenate([turning(10, 1350, 0.01, 7), turning(10, 1350, 0.5, 8)])
    done = score(bundle, "--wav", "-", "--rpm", 1350, "--json", stdin=wav(samples))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert not any(line["anomaly"] for line in lines if float(line["time"]) < 9)
    late = [line for line in lines if float(line["time"]) > 12]
    assert all(line["anomaly"] for line in late)
    named = collections.Counter(line["channel"] for line in late)
    assert named.most_common(1)[0][0] == "order 3"

    done = score(bundle, "--wav", "-", stdin=wav(samples))
    assert done.returncode == 1
    assert b"give it by --rpm" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("rpm", ["0", "-5", "nan", "fast"])
def test_a_speed_that_is_none_is_refused(bundle, rpm):
    done = score(bundle, "--wav", "-", f"--rpm={rpm}", stdin=wav(signal(1)))
    assert done.returncode == 2
    assert b"--rpm" in done.stderr

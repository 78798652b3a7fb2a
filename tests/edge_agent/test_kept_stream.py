"""What the watcher learned from its rows outlives its process: warm-up and adaptation."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from edge_agent.__main__ import main
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.reverts import Reverts, revert, reverts
from edge_agent.anomaly.adaptation import AdaptationSettings
from edge_agent.anomaly.scoring import PARTS
from edge_agent.bundle import archive
from edge_agent.command_line import parse
from edge_agent.watching.kept import KEPT, KeptStream, KeptStreams
from tests.fixtures.anomaly_bundles import SETTINGS, csv_text, machine_rows, write_anomaly_bundle
from tests.fixtures.daemons import daemon, write_config

_WARM_UP = 120
_LEARNING = dataclasses.replace(
    SETTINGS,
    warm_up_rows=_WARM_UP,
    per_machine=PARTS,
    adaptation=AdaptationSettings(period=40, rate=0.2),
)


class Pump:
    """A log that grows, and the settings of a daemon that watches it."""

    def __init__(self, folder: Path):
        self.root = folder / "device"
        self.bundle = write_anomaly_bundle(folder / "pump.bundle", _LEARNING)
        self.log = folder / "pump.csv"
        self.log.write_text("time,flow,pressure,heat\n")
        self.config = write_config(
            folder, '[anomaly]\nsource = "pump.csv"\nbundle = "pump.bundle"\n'
        )
        self._rows = 0

    def run(self, count: int, *, fault: bool = False) -> None:
        rows = machine_rows(self._rows + count)[self._rows :]
        rows[:, 0] += 40 * fault
        _, text = csv_text(rows, begin=self._rows).split("\n", 1)
        with self.log.open("a") as file:
            file.write(text)
        self._rows += count

    def learned(self, running, **wanted):
        """What the status says of adaptation, once it says `wanted`."""

        def says(told):
            workload = told["workloads"]["anomaly"]
            found = workload["facts"].get("adaptation", {})
            return workload["state"] == "running" and wanted.items() <= found.items()

        return running.until(says)["workloads"]["anomaly"]["facts"]["adaptation"]


@pytest.fixture
def pump(tmp_path):
    return Pump(tmp_path)


def test_warm_up_and_adaptation_outlive_the_daemon_and_a_kill(pump, capsys):
    with daemon(pump.config) as running:
        assert pump.learned(running, warm=False)["distance"] == 0
        pump.run(_WARM_UP + 200)
        pump.learned(running, warm=True)
        running.until(lambda told: told["workloads"]["anomaly"]["inferences"] >= _WARM_UP + 200)
        assert running.end() == 0
    digest = archive.read(pump.bundle).digest
    (kept,) = KeptStreams(pump.root).all()
    assert (kept.bundle, kept.source) == (digest, str(pump.log))
    assert kept.drift > 0

    with daemon(pump.config) as running:
        found = pump.learned(running, warm=True)
        assert found["distance"] == round(kept.drift, 4)
        os.kill(running.pid("anomaly"), signal.SIGKILL)
        running.wait("ready", "anomaly")
        running.wait("ready", "anomaly")
        assert pump.learned(running, warm=True)["distance"] == round(kept.drift, 4)
        # No warm-up in which a fault would be learned as normal.
        pump.run(30, fault=True)
        running.wait("alarm", "anomaly", channel="flow")

        assert (
            main(
                parse(
                    [
                        "edge_agent",
                        "revert",
                        "--anomaly",
                        "adapted",
                        "--root",
                        str(pump.root),
                        "--json",
                    ]
                )
            )
            == 0
        )
        assert json.loads(capsys.readouterr().out) == {"adapted": 1, "warm_up": 0}
        assert pump.learned(running, current=1) == {"current": 1, "distance": 0, "warm": True}
        assert (
            main(parse(["edge_agent", "revert", "--anomaly", "warm_up", "--root", str(pump.root)]))
            == 0
        )
        assert not pump.learned(running, current=2)["warm"]
        assert "must be normal running" in capsys.readouterr().out
        assert main(parse(["edge_agent", "adaptations", "--root", str(pump.root), "--json"])) == 0
        told = json.loads(capsys.readouterr().out)
        assert [stream["source"] for stream in told["anomaly"]] == [str(pump.log)]


def test_a_new_bundle_begins_anew_and_one_that_is_rolled_back_to_goes_on(pump):
    with daemon(pump.config) as running:
        pump.learned(running, warm=False)
        pump.run(_WARM_UP + 1)
        pump.learned(running, warm=True)
        old = pump.bundle.read_bytes()
        other = dataclasses.replace(_LEARNING, smoothing=0.2)
        os.replace(write_anomaly_bundle(pump.bundle.with_name("new"), other), pump.bundle)
        pump.learned(running, warm=False)
        pump.bundle.with_name("old").write_bytes(old)
        os.replace(pump.bundle.with_name("old"), pump.bundle)
        pump.learned(running, warm=True)


def test_rows_of_another_source_begin_anew_and_that_is_told(pump):
    with daemon(pump.config) as running:
        pump.learned(running, warm=False)
        pump.run(_WARM_UP + 1)
        pump.learned(running, warm=True)
        pump.log.rename(pump.log.with_name("other.csv"))
        pump.config.write_text(pump.config.read_text().replace("pump.csv", "other.csv"))
        running.reload()
        assert "not from" in running.wait("adaptation_dropped", "anomaly")["text"]
        assert not pump.learned(running, warm=False)["warm"]


def _stream(bundle: str, root: Path) -> KeptStream:
    arrays = {"threshold.levels": np.ones(2, np.float32), "adapted.shift": np.ones((), np.float32)}
    return KeptStream(
        bundle=bundle * 32, source="-", reverts=reverts(root), drift=0.5, parameters=arrays
    )


def test_the_newest_streams_stay(tmp_path):
    streams = KeptStreams(tmp_path)
    for bundle in ("ab", "cd", "ef"):
        streams.keep(_stream(bundle, tmp_path))
    assert [stream.bundle[:2] for stream in streams.all()] == ["ef", "cd"]
    assert len(streams.all()) == KEPT
    assert streams.of("ab" * 32, "-") is None
    assert set(streams.of("ef" * 32, "-").parameters) == {"threshold.levels", "adapted.shift"}


def test_what_is_kept_last_stays_though_the_clock_was_set_back(tmp_path):
    streams = KeptStreams(tmp_path)
    ahead = time.time() + 1e8
    for bundle in ("ab", "cd"):
        streams.keep(_stream(bundle, tmp_path))
    for path in (tmp_path / "adaptations").glob("anomaly-*.npz"):
        os.utime(path, (ahead, ahead))
    streams.keep(_stream("ef", tmp_path))
    assert streams.all()[0].bundle[:2] == "ef"
    assert len(streams.all()) == KEPT


def test_a_stream_that_learned_as_much_as_a_bundle_may_hold_comes_back(tmp_path):
    streams = KeptStreams(tmp_path)
    large = {"detector.basis": np.ones((1500, 1000), np.float32)}
    streams.keep(dataclasses.replace(_stream("ab", tmp_path), parameters=large))
    assert streams.of("ab" * 32, "-").parameters["detector.basis"].shape == (1500, 1000)


def test_what_is_taken_back_does_not_come_back(tmp_path):
    streams = KeptStreams(tmp_path)
    before = _stream("ab", tmp_path)
    streams.keep(before)
    revert(tmp_path, "adapted")
    # A process that ran on meanwhile keeps what it had, under the count that it began with.
    streams.keep(before)
    found = streams.of(before.bundle, "-")
    assert set(found.parameters) == {"threshold.levels"}
    assert found.drift == 0
    revert(tmp_path, "warm_up")
    assert streams.of(before.bundle, "-") is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"adapted": -1, "warm_up": 0}', b"\xff" * 9])
def test_damaged_counts_count_as_none(tmp_path, content):
    revert(tmp_path, "adapted")
    (tmp_path / "adaptations/anomaly.reverts").write_bytes(content)
    assert reverts(tmp_path) == Reverts()


@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_damaged_stream_is_named_and_begins_anew(tmp_path, length):
    streams = KeptStreams(tmp_path)
    streams.keep(_stream("ab", tmp_path))
    (path,) = (tmp_path / "adaptations").glob("anomaly-*.npz")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(AdaptationError, match=f"{path.name}: is damaged"):
        streams.of("ab" * 32, "-")
    assert streams.all() == []

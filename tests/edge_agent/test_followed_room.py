"""Thresholds that follow the room: how far, how fast, kept over restarts, and taken back."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import urllib.request

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.__main__ import main
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import (
    DetectionPolicy,
    ManifestError,
    RoomBounds,
    decode_manifest,
    encode_manifest,
)
from edge_agent.command_line import parse
from edge_agent.keyword.policy import Detector
from edge_agent.keyword.room import Heard, NearMisses, Room, accepts
from tests.fixtures.bundles import LABELS, bundle_parts, make_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.speech import utterance

BOUNDS = RoomBounds(
    near_per_hour=100.0,
    lowest={"yes": 0.5, "no": 0.6, "stop": 0.4},
    highest={"yes": 0.9, "no": 0.95, "stop": 0.7},
    lowest_accepts=2.0,
    highest_accepts=0.25,
    memory_hours=10.0,
)
POLICY = DetectionPolicy(
    hop_frames=3,
    smoothing=1,
    thresholds={"yes": 0.7, "no": 0.8, "stop": 0.6},
    refractory_ms=500,
    room=BOUNDS,
)


def after(hours: int, near_per_hour: int) -> Room:
    """A room in which so much was heard."""
    room = Room(POLICY, BOUNDS)
    for _ in range(hours):
        room.take(1.0, near_per_hour)
    return room


def test_a_room_like_the_bundle_s_changes_nothing():
    assert after(48, 100).drift == pytest.approx(0.0, abs=1e-9)


def test_in_a_quiet_room_thresholds_fall_as_far_as_the_bundle_allows():
    lately, long = after(2, 0), after(100, 0)
    assert 0.6 < lately.thresholds["no"] < 0.8
    assert long.thresholds == pytest.approx(BOUNDS.lowest)
    assert long.accepts == 2.0


def test_in_a_loud_room_they_rise_and_fall_again_once_it_is_quiet():
    room = after(10, 300)
    assert 0.7 < room.thresholds["yes"] < 0.9
    for _ in range(100):
        room.take(1.0, 5_000)
    assert room.thresholds == pytest.approx(BOUNDS.highest)
    for _ in range(200):
        room.take(1.0, 0)
    assert room.thresholds == pytest.approx(BOUNDS.lowest)


def test_half_the_near_misses_allow_twice_the_accepts():
    heard = Heard(hours=1e5, near=0.7e7)
    assert accepts(heard, BOUNDS) == pytest.approx(1 / 0.7, rel=1e-3)


@given(st.lists(st.tuples(st.floats(0.0, 1000.0), st.integers(0, 100_000)), max_size=30))
def test_whatever_was_heard_they_stay_within_the_bounds(pieces):
    room = Room(POLICY, BOUNDS)
    for hours, near in pieces:
        room.take(hours, near)
        for label, threshold in room.thresholds.items():
            assert BOUNDS.lowest[label] - 1e-9 <= threshold <= BOUNDS.highest[label] + 1e-9


def test_a_near_miss_comes_to_the_lowest_threshold_and_not_to_the_bundle_s():
    count = NearMisses({0: (0.5, 0.7)})
    rows = [0.1, 0.55, 0.6, 0.2, 0.75, 0.55, 0.1, 0.5, 0.5]
    assert [count.step([value]) for value in rows] == [0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert count.step([0.0]) == 1


def test_the_detector_hears_what_only_the_quiet_room_s_thresholds_let_pass():
    said = np.array([0.0, 0.0, 0.62, 0.0, 0.0])

    def fires(room: Room | None) -> bool:
        return Detector(POLICY, LABELS, 60.0, room).step(1.0, said) is not None

    assert (fires(None), fires(after(0, 0)), fires(after(100, 0))) == (False, False, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lowest": {"yes": 0.5, "no": 0.6}}, "must bound each"),
        ({"lowest": {"yes": 0.5, "no": 0.6, "stop": 0.61}}, "not on both sides"),
        ({"highest": {"yes": 0.9, "no": 1.1, "stop": 0.7}}, "not on both sides"),
    ],
)
def test_a_bundle_whose_bounds_bound_nothing_is_refused(change, words):
    manifest, _ = bundle_parts()
    bounds = dataclasses.replace(BOUNDS, **change)
    thresholds = POLICY.thresholds
    policy = dataclasses.replace(manifest.policy, thresholds=thresholds, room=bounds)
    data = encode_manifest(dataclasses.replace(manifest, policy=policy))
    with pytest.raises(ManifestError, match=words):
        decode_manifest(data)


def test_bounds_that_are_none_are_refused_by_name():
    manifest, _ = bundle_parts()
    data = json.loads(encode_manifest(dataclasses.replace(manifest, policy=POLICY)))
    data["policy"]["room"]["lowest_accepts"] = 1.0
    with pytest.raises(ManifestError, match=r"policy.room: room.*lowest_accepts above 1"):
        decode_manifest(json.dumps(data).encode())


# A minute of quiet, more than such a device remembers.
QUIET = np.concatenate([utterance("_silence_", LABELS, seed=n) for n in range(75)]).tobytes()
FORGETFUL = dataclasses.replace(BOUNDS, memory_hours=0.01)


def device(folder, text=""):
    """agent.toml and a bundle whose thresholds follow the room within half a minute."""
    manifest, _ = bundle_parts()
    policy = dataclasses.replace(
        manifest.policy, thresholds=dict(POLICY.thresholds), room=FORGETFUL
    )
    make_bundle(folder / "words.bundle", policy=policy)
    keyword = '[keyword]\nsource = "-"\nbundle = "words.bundle"\n'
    return write_config(folder, f"{keyword}[metrics]\nport = 0\n{text}")


def drift(running) -> float:
    return running.status()["workloads"]["keyword"]["drift"]


def command(capsys, *words) -> dict:
    assert main(parse(["edge_agent", *map(str, words), "--json"])) == 0
    return json.loads(capsys.readouterr().out)


def hear(running, pcm: bytes) -> None:
    running.process.stdin.write(pcm)
    running.process.stdin.flush()


def test_a_daemon_follows_tells_how_far_goes_on_after_a_restart_and_takes_it_back(tmp_path, capsys):
    config = device(tmp_path)
    with daemon(config, stdin=subprocess.PIPE) as running:
        hear(running, QUIET)
        running.until(lambda s: s["workloads"]["keyword"]["drift"] > 0.1)
        port = running.status()["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        assert float(told['edge_agent_threshold_drift{workload="keyword"}']) > 0.1
        assert running.end() == 0
    kept = command(capsys, "adaptations", "--config", config)["room"]
    assert kept["bundle"] == archive.read(tmp_path / "words.bundle").digest
    assert kept["drift"] > 0.1
    assert kept["accepts"] > 1.2
    with daemon(config, stdin=subprocess.PIPE) as running:
        running.pid("keyword")
        hear(running, QUIET[:32_000])
        running.until(lambda s: s["workloads"]["keyword"]["input_s"] == 1)
        assert drift(running) == pytest.approx(kept["drift"])
        assert command(capsys, "revert", "--config", config) == {"from": 0, "to": 0}
        until = 2
        while drift(running) != 0 and until < 12:
            hear(running, QUIET[:32_000])
            running.until(lambda s, n=until: s["workloads"]["keyword"]["input_s"] == n)
            until += 1
        assert drift(running) == 0
        assert running.end() == 0


def test_settings_can_keep_them_as_shipped(tmp_path, capsys):
    config = device(tmp_path, '[adaptation]\nroom = "shipped"\n')
    with daemon(config, stdin=subprocess.PIPE) as running:
        hear(running, QUIET)
        running.until(lambda s: s["workloads"]["keyword"]["input_s"] == 75)
        assert drift(running) == 0
        assert running.end() == 0
    assert command(capsys, "adaptations", "--config", config)["room"] is None


def test_what_was_heard_with_another_bundle_does_not_count(tmp_path, capsys):
    config = device(tmp_path)
    with daemon(config, stdin=subprocess.PIPE) as running:
        hear(running, QUIET)
        running.until(lambda s: s["workloads"]["keyword"]["drift"] > 0.1)
        assert running.end() == 0
    make_bundle(
        tmp_path / "words.bundle",
        seed=1,
        policy=dataclasses.replace(
            bundle_parts()[0].policy, thresholds=dict(POLICY.thresholds), room=FORGETFUL
        ),
    )
    with daemon(config, stdin=subprocess.PIPE) as running:
        running.pid("keyword")
        hear(running, QUIET[:32_000])
        running.until(lambda s: s["workloads"]["keyword"]["input_s"] == 1)
        assert drift(running) == 0
        assert running.end() == 0

"""A recorded room plays into the daemon: events, messages and metrics all tell what `spot` tells of it."""

from __future__ import annotations

import os
import urllib.request

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent.bundle import archive
from edge_agent.keyword.spotting import spot
from tests.fixtures.brokers import Broker, Listener
from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.room import Room, record_room
from tests.fixtures.speech import RATE

WORDS = tuple((word, ratio) for ratio in (30.0, 20.0, 10.0) for word in ("yes", "stop"))
CONFIG = """
[keyword]
source = "microphone"
bundle = "words.bundle"
[mqtt]
host = "127.0.0.1"
port = {port}
[metrics]
port = 0
"""


@pytest.fixture(scope="module")
def room(speech_commands) -> Room:
    """Stand-in words among real noise and real people, who say none of them."""
    noise = speech_commands.parent / "speech_commands_background_noise" / "exercise_bike.wav"
    speech = sorted((speech_commands / "_unknown_").iterdir())[::9]
    return record_room(noise, speech, LABELS, WORDS)


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    (found,) = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels.get("workload") == "keyword"
    ]
    return found


def test_events_messages_and_metrics_tell_the_same_of_a_room(room, tmp_path):
    bundle = archive.read(make_bundle(tmp_path / "words.bundle"))
    pcm = np.concatenate([room.pcm, np.zeros(2 * RATE, np.int16)])
    samples = (pcm / 32768).astype(np.float32)[:, None]
    expected = [(round(d.time_s, 3), d.label) for d in spot(bundle, RATE, [samples])]
    for at, word, ratio in room.said:
        heard = any(said == word and abs(time - at) < 0.8 for time, said in expected)
        assert heard or ratio < 20, (word, at, expected)

    broker = Broker(tmp_path)
    listener = Listener(broker.port)
    os.mkfifo(tmp_path / "microphone")
    microphone = os.open(tmp_path / "microphone", os.O_RDWR)
    with daemon(write_config(tmp_path, CONFIG.format(port=broker.port))) as running:
        running.wait("ready", "keyword")
        data = pcm.tobytes()
        for start in range(0, len(data), 32_768):
            os.write(microphone, data[start : start + 32_768])
        events = [running.wait("detection", "keyword") for _ in expected]
        messages = [listener.wait("edge/pump-7/keyword/detection") for _ in expected]
        told = running.until(
            lambda s: s["workloads"]["keyword"]["input_s"] == pytest.approx(len(pcm) / RATE)
        )
        counted = metric(told["metrics_port"], "edge_agent_triggers_total")
        heard_s = metric(told["metrics_port"], "edge_agent_audio_seconds_total")
        assert running.end() == 0
    os.close(microphone)
    listener.close()
    broker.kill()
    assert [(event["time_s"], event["label"]) for event in events] == expected
    assert messages == events
    assert counted == len(expected)
    assert heard_s == pytest.approx(len(pcm) / RATE)

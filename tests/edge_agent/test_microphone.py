"""A microphone of the device, by a stand-in for PortAudio: heard, unplugged, absent."""

from __future__ import annotations

import pytest

from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.daemons import TOP, daemon, write_config
from tests.fixtures.speech import utterance

_STAND_IN = '''
"""Gives what the file says.pcm beside it holds, then does as the file then says."""
import pathlib, threading
import numpy as np

HERE = pathlib.Path(__file__).parent


class PortAudioError(Exception):
    pass


class InputStream:
    def __init__(self, samplerate, blocksize, device, channels, dtype, callback, finished_callback):
        assert (samplerate, channels, dtype) == (16000, 1, "int16"), (samplerate, channels, dtype)
        if not (HERE / "said.pcm").exists():
            raise PortAudioError(f"Error querying device {device}")
        self.size, self.callback, self.finished = blocksize, callback, finished_callback

    def start(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        pcm = np.frombuffer((HERE / "said.pcm").read_bytes(), "<i2")
        for start in range(0, len(pcm) - self.size, self.size):
            late = "input overflow" if start == 0 else ""
            self.callback(pcm[start:start + self.size, None].copy(), self.size, None, late)
        (HERE / "said.pcm").unlink()
        if (HERE / "then").read_text() == "ends":
            self.finished()

    def abort(self, ignore_errors):
        pass

    close = abort
'''


@pytest.fixture
def plugged(tmp_path):
    """Settings for a microphone that says "yes", and the environment with the stand-in."""
    make_bundle(tmp_path / "words.bundle")
    (tmp_path / "sounddevice.py").write_text(_STAND_IN)
    say(tmp_path, "yes")
    text = '[keyword]\nsource = "microphone:hw:1,0"\nbundle = "words.bundle"\n'
    return write_config(tmp_path, text), {"PYTHONPATH": f"{tmp_path}:{TOP}"}


def say(folder, word):
    (folder / "then").write_text("ends")
    pcm = b"".join(utterance(w, LABELS).tobytes() for w in (word, "_silence_"))
    (folder / "part").write_bytes(pcm)
    (folder / "part").rename(folder / "said.pcm")


def test_it_is_heard_and_when_it_is_unplugged_it_is_waited_for(plugged, tmp_path):
    config, environment = plugged
    with daemon(config, **environment) as running:
        assert running.wait("detection", "keyword")["label"] == "yes"
        found = running.wait("source", "keyword")
        assert "microphone hw:1,0: gives no more sound: is it unplugged?" in found["text"]
        assert running.status()["workloads"]["keyword"]["gaps"] == 1  # the overflow
        found = running.wait("source", "keyword")
        assert "cannot be opened" in found["text"]
        assert "is it plugged in" in found["text"]
        say(tmp_path, "no")
        assert running.wait("detection", "keyword")["label"] == "no"
        assert running.end() == 0


def test_one_that_just_falls_silent_is_unplugged_too(plugged, tmp_path):
    config, environment = plugged
    (tmp_path / "then").write_text("falls silent")
    with daemon(config, **environment) as running:
        assert running.wait("detection", "keyword")["label"] == "yes"
        assert "gives no more sound" in running.wait("source", "keyword")["text"]
        assert running.end() == 0


def test_without_the_extra_the_way_to_it_is_said(tmp_path):
    make_bundle(tmp_path / "words.bundle")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    text = '[keyword]\nsource = "microphone:"\nbundle = "words.bundle"\n'
    with daemon(write_config(tmp_path, text), PYTHONPATH=f"{tmp_path}:{TOP}") as running:
        found = running.wait("source", "keyword")
        assert "PortAudio library not found" in found["text"]
        assert "edge-agent[microphone]" in found["text"]
        assert running.end() == 0

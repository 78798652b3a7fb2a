"""The daemon in real processes: what dies, hangs, is replaced or reloaded, and what goes on meanwhile."""

import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time

import numpy as np
import pytest

from edge_agent.__main__ import main
from edge_agent.command_line import parse
from edge_agent.update.slots import DeviceFolder
from tests.fixtures.anomaly_bundles import csv_text, machine_rows, write_anomaly_bundle
from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.daemons import PATIENCE_S, daemon, write_config
from tests.fixtures.field import Field, served
from tests.fixtures.processes import is_running
from tests.fixtures.speech import utterance, wav_bytes

KEYWORD = '[keyword]\nsource = "{source}"\nbundle = "{bundle}"\n'
ANOMALY = '[anomaly]\nsource = "pump.csv"\nbundle = "pump.bundle"\n'


def spoken(*labels: str) -> bytes:
    """Raw samples, with a second of quiet at the end, so that the last word is decided."""
    return np.concatenate([utterance(label, LABELS) for label in (*labels, "_silence_")]).tobytes()


class Place:
    """A folder with bundles, a FIFO to speak into and a log that grows."""

    def __init__(self, folder):
        self.folder = folder
        make_bundle(folder / "words.bundle")
        os.mkfifo(folder / "microphone")
        self.microphone = os.open(folder / "microphone", os.O_RDWR | os.O_NONBLOCK)
        write_anomaly_bundle(folder / "pump.bundle")
        self.rows = 0
        (folder / "pump.csv").write_text("time,flow,pressure,heat\n")

    def say(self, *labels: str) -> None:
        left = memoryview(spoken(*labels))
        until = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < until:
            try:
                left = left[os.write(self.microphone, left) :]
            except BlockingIOError:
                time.sleep(0.01)
        assert not left, "nobody listens"

    def log(self, count: int, *, fault: bool = False) -> None:
        rows = machine_rows(self.rows + count)[self.rows :]
        if fault:
            rows[:, 0] += 40
        _, text = csv_text(rows, begin=self.rows).split("\n", 1)
        with (self.folder / "pump.csv").open("a") as file:
            file.write(text)
        self.rows += count

    def alarms(self, running) -> None:
        """The machine goes wrong and right again, and that is told."""
        self.log(20, fault=True)
        running.wait("alarm", "anomaly", channel="flow")
        self.log(40)
        running.wait("alarm_over", "anomaly")


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    os.close(made.microphone)


@pytest.fixture
def both(place):
    """The settings of both workloads."""
    words = KEYWORD.format(source="microphone", bundle="words.bundle")
    return write_config(place.folder, words + ANOMALY, hang=5)


def test_one_dies_and_one_hangs_and_the_other_goes_on(place, both):
    systemd = Systemd(place.folder / "notify")
    with daemon(both, **systemd.environment) as running:
        running.pid("anomaly")  # it watches the log from where it ends now
        place.say("yes")
        found = running.wait("detection", "keyword", label="yes")
        assert set(found) == {
            "id", "time", "device", "source", "event", "time_s", "label", "score"
        }  # fmt: skip
        assert found["device"] == "pump-7"
        os.kill(running.pid("keyword"), signal.SIGKILL)
        running.wait("crashed", "keyword", text="ended with signal 9")
        place.alarms(running)
        running.pid("keyword")
        place.say("stop")
        running.wait("detection", "keyword", label="stop")
        hung = running.pid("anomaly")
        os.kill(hung, signal.SIGSTOP)
        place.say("no")
        running.wait("detection", "keyword", label="no")
        running.wait("hung", "anomaly")
        place.alarms(running)
        assert running.pid("anomaly") != hung
        assert stat.S_IMODE((place.folder / "device/agent.sock").stat().st_mode) == 0o600
        assert running.end() == 0
        assert running.events[-1]["event"] == "stopped"
        assert running.errors == b""
    assert not (place.folder / "device/agent.sock").exists()
    told = systemd.until("STOPPING=1")
    assert told.count("READY=1") == 1
    assert "WATCHDOG=1" in told
    assert any(text.startswith("STATUS=keyword: ") for text in told)


class Systemd:
    """Takes what a service tells systemd.

    Attributes:
        environment: of the service.
    """

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._told = []
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"}
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            text = self._socket.recv(4096).decode()
            self._told.append(text)

    def unfed(self) -> None:
        """Waits until the watchdog is fed no more, which is done once a second."""
        end = time.monotonic() + PATIENCE_S
        while True:
            self._told.clear()
            time.sleep(1.5)
            if "WATCHDOG=1" not in self._told:
                return
            assert time.monotonic() < end, "the watchdog is fed on and on"

    def until(self, text: str) -> list[str]:
        """All that was told, once `text` is among it."""
        end = time.monotonic() + PATIENCE_S
        while text not in self._told:
            assert time.monotonic() < end, self._told
            time.sleep(0.02)
        return list(self._told)


def test_the_watchdog_is_fed_by_inference_loops_alone(place):
    systemd = Systemd(place.folder / "notify")
    config = write_config(place.folder, ANOMALY, hang=60)
    with daemon(config, **systemd.environment) as running:
        os.kill(running.pid("anomaly"), signal.SIGSTOP)
        systemd.unfed()
        os.kill(running.pid("anomaly"), signal.SIGCONT)
        systemd.until("WATCHDOG=1")


def test_a_crash_loop_is_told_and_the_last_good_bundle_steps_in(tmp_path, place):
    folder = DeviceFolder.made(tmp_path / "device")
    for slot, seed in (("a", 1), ("b", 2)):
        make_bundle(folder.bundle(slot), seed=seed)
    folder.flip("b")
    text = '[keyword]\nsource = "microphone"\n'
    with daemon(write_config(tmp_path, text, crashes=2)) as running:
        for _ in range(2):
            os.kill(running.pid("keyword"), signal.SIGSEGV)
            running.wait("crashed", "keyword")
        loop = running.wait("crash_loop", "keyword")
        assert loop["digest"] == folder.digest("b")
        running.wait("ready", "keyword", digest=folder.digest("a"))
        told = running.status()["workloads"]["keyword"]
        assert told["fallback"]
        assert "died 2 times in a row" in told["error"]
        place.say("yes")
        running.wait("detection", "keyword")

        # A release that refuses itself comes next, and one that works after it.
        (tmp_path / "bad").write_bytes(b"no bundle")
        os.replace(tmp_path / "bad", folder.bundle("b"))
        refused = running.wait("refused", "keyword")
        assert "not a whole bundle" in refused["text"]
        running.wait("ready", "keyword", digest=folder.digest("a"))
        make_bundle(tmp_path / "good", seed=3)
        os.replace(tmp_path / "good", folder.bundle("b"))
        running.wait("ready", "keyword", digest=folder.digest("b"))


def test_it_installs_what_is_released_and_runs_it(tmp_path, place):
    field = Field(tmp_path)
    first = field.publish(1)
    with served(field):
        text = (
            f'[keyword]\nsource = "microphone"\n[repository]\nurl = "{field.address}"\n'
            'trusted_root = "root.json"\n[update]\npoll = 1\nprobation = 0\n'
        )
        with daemon(write_config(tmp_path, text)) as running:
            running.wait("ready", "keyword")  # already in its trial
            updated = [e for e in running.events if e["event"] == "updated"]  # may be said before
            assert (updated or [running.wait("updated", "update")])[0]["to"] == first.version
            place.say("yes")
            running.wait("detection", "keyword", label="yes")
            assert running.end() == 0


def test_sighup_reads_the_settings_again(place, both):
    with daemon(write_config(place.folder, ANOMALY)) as running:
        first = running.pid("anomaly")
        write_config(place.folder, "[keyword]\nsorce = 1\n")
        running.process.send_signal(signal.SIGHUP)
        refused = running.wait("reload_refused", "daemon")
        assert "keyword.sorce: is not known: do you mean source?" in refused["text"]
        words = KEYWORD.format(source="microphone", bundle="words.bundle")
        write_config(place.folder, words + ANOMALY)
        running.process.send_signal(signal.SIGHUP)
        running.wait("reloaded", "daemon")
        running.wait("ready", "keyword")
        assert running.pid("anomaly") == first, "what has not changed runs on"
        write_config(place.folder, words)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda told: set(told["workloads"]) == {"keyword"})


def test_a_supervisor_that_is_killed_leaves_nothing_in_the_way(place, both, capsys):
    with daemon(both) as running:
        orphans = [running.pid("keyword"), running.pid("anomaly")]
        running.end(signal.SIGKILL)
    with daemon(both) as running:
        running.wait("ready", "keyword")
        place.say("yes")
        running.wait("detection", "keyword", label="yes")
        assert not [pid for pid in orphans if is_running(pid)]
        assert main(parse(["edge_agent", "run", "--config", str(both)])) == 1
        assert "another daemon has this device folder" in capsys.readouterr().err
        assert main(parse(["edge_agent", "status", "--config", str(both), "--json"])) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["state"], told["daemon"]["pid"]) == ("idle", running.process.pid)
        assert main(parse(["edge_agent", "status", "--config", str(both)])) == 0
        lines = capsys.readouterr().out.splitlines()
        assert f"keyword: running {place.folder / 'words.bundle'}" in lines, "not the release's"


def test_rows_of_ten_thousand_columns_are_watched(tmp_path):
    write_anomaly_bundle(tmp_path / "pump.bundle")
    config = write_config(tmp_path, '[anomaly]\nsource = "-"\nbundle = "pump.bundle"\n')
    head, *rows = csv_text(machine_rows(20)).splitlines()
    more = ",".join(f"c{n}" for n in range(10_000))
    table = [f"{head},{more}", *(f"{row},{',1.5' * 9_999}" for row in rows)]
    with daemon(config, stdin=subprocess.PIPE) as running:
        running.process.stdin.write("\n".join(table).encode())
        running.process.stdin.close()
        assert running.over() == 0
    assert [e["event"] for e in running.events if e["source"] == "anomaly"] == ["ready", "over"]


@pytest.mark.parametrize("form", ["raw", "wav"])
def test_standard_input_is_heard_to_its_end_over_a_crash(place, form):
    config = write_config(place.folder, KEYWORD.format(source="-", bundle="words.bundle"))
    said, then = spoken("yes"), spoken("stop")
    if form == "wav":
        said = wav_bytes(np.frombuffer(said + then, np.int16))[: 44 + len(said)]
    with daemon(config, stdin=subprocess.PIPE) as running:
        running.process.stdin.write(said)
        running.process.stdin.flush()
        running.wait("detection", "keyword", label="yes")
        os.kill(running.pid("keyword"), signal.SIGKILL)
        running.process.stdin.write(then)
        running.process.stdin.close()
        running.wait("detection", "keyword", label="stop")
        assert running.over() == 0
        assert "over" in [event["event"] for event in running.events]


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "": "has neither [keyword] nor [anomaly]",
        '[keyword]\nsource = "-"\n[anomaly]\nsource = "-"\nbundle = "x"': "are both '-'",
        '[keyword]\nsource = "-"\n[anomaly]\nsource = "x"': "both the release of the device folder",
        '[keyword]\nsource = ""': "source must be - or a path",
        '[keyword]\nsource = "-"\n[limts]\nhang = 1': "limts: is not known: do you mean limits?",
        '[keyword]\nsource = "-"\n[update]\npoll = 0': "poll must be 1 second to 31 days",
    }.items(),
)
def test_settings_that_cannot_be_run_are_refused(tmp_path, capsys, text, words):
    path = tmp_path / "agent.toml"
    path.write_text(f'[device]\nroot = "device"\n{text}\n')
    assert main(parse(["edge_agent", "run", "--config", str(path)])) == 1
    assert words in capsys.readouterr().err

"""Events on their way out of a real daemon: a real broker that comes and goes, a web server, a scrape."""

import http.server
import json
import os
import signal
import threading
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.edge_agent.test_daemon import ANOMALY, KEYWORD, Place
from tests.fixtures.anomaly_bundles import machine_rows
from tests.fixtures.brokers import Broker, Listener
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.ports import HeldPort


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    os.close(made.microphone)


@pytest.fixture
def broker(tmp_path):
    started = Broker(tmp_path)
    yield started
    started.kill()


WORDS = KEYWORD.format(source="microphone", bundle="words.bundle")


def waiting(told, sink="mqtt"):
    return told["sinks"][sink]["waiting"]


def test_events_outlive_a_broker_that_is_away_and_a_kill(place, broker):
    config = write_config(
        place.folder, f'{WORDS}[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
    )
    listener = Listener(broker.port)
    with daemon(config) as running:
        online = listener.wait("edge/pump-7/status", state="online")
        assert set(online["workloads"]) == {"keyword"}
        listener.wait("edge/pump-7/keyword/ready")
        place.say("yes")
        heard = running.wait("detection", "keyword", label="yes")
        assert listener.wait("edge/pump-7/keyword/detection") == heard
        running.until(lambda told: waiting(told) == 0)

        broker.kill()
        running.until(lambda told: not told["sinks"]["mqtt"]["connected"])
        place.say("no")
        kept = running.wait("detection", "keyword", label="no")
        running.until(lambda told: waiting(told) >= 1)
        running.end(signal.SIGKILL)
    listener.close()
    broker.start()
    listener = Listener(broker.port)
    with daemon(config) as running:
        assert listener.wait("edge/pump-7/keyword/detection", label="no") == kept
        running.until(lambda told: waiting(told) == 0)
        running.end(signal.SIGKILL)
        listener.wait("edge/pump-7/status", state="offline")
    with daemon(config) as running:
        listener.wait("edge/pump-7/status", state="online")
        assert running.end() == 0
        listener.wait("edge/pump-7/daemon/stopped")
        listener.wait("edge/pump-7/status", state="offline", reason="stopped")
    listener.close()


def test_rows_come_from_a_topic(place, broker):
    text = ANOMALY.replace('"pump.csv"', '"mqtt:pumps/7/rows"')
    config = write_config(place.folder, f'{text}[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n')
    listener = Listener(broker.port)
    with daemon(config) as running:
        running.pid("anomaly")
        rows = machine_rows(60)
        rows[20:, 0] += 40

        def say(begin: int, end: int) -> None:
            for row in rows[begin:end]:
                said = dict(zip(("flow", "pressure", "heat"), row.tolist(), strict=True))
                listener.publish("pumps/7/rows", said)

        # Until the broker has the subscription, nobody is there to take a row.
        while running.status()["workloads"]["anomaly"]["inferences"] == 0:
            say(0, 1)
        say(0, 20)
        os.kill(running.pid("anomaly"), signal.SIGKILL)
        running.wait("crashed", "anomaly")
        say(20, 60)  # kept by the broker, while nobody is there
        assert listener.wait("edge/pump-7/anomaly/alarm")["channel"] == "flow"
    listener.close()


class Hooked(http.server.ThreadingHTTPServer):
    """A web server that answers with `codes` in turn, then with 204."""

    def __init__(self, port: int, *codes: int) -> None:
        self.codes, self.taken = list(codes), []
        super().__init__(("127.0.0.1", port), _Hook)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.codes.pop(0) if self.server.codes else 204
        if code == 204:
            self.server.taken.append((self.headers["Authorization"], json.loads(body)))
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_web_server_gets_each_event_whenever_it_is_there(place):
    (place.folder / "token").write_text("secret\n")
    held = HeldPort()
    hook = f'[webhook]\nurl = "http://127.0.0.1:{held.number}/events"\ntoken_file = "token"\n'
    with daemon(write_config(place.folder, WORDS + hook)) as running:
        running.wait("ready", "keyword")
        running.until(lambda told: waiting(told, "webhook") == 2)
        server = Hooked(held.number, 503, 400)  # once more, and no more
        place.say("yes")
        running.wait("detection", "keyword")
        told = running.until(lambda told: waiting(told, "webhook") == 0)
        assert told["sinks"]["webhook"] == {"connected": True, "waiting": 0, "dropped": 1}
        assert running.end() == 0
    assert {token for token, _ in server.taken} == {"Bearer secret"}
    assert [said["event"] for _, said in server.taken] == ["ready", "detection", "stopped"]
    server.shutdown()
    server.server_close()


def test_metrics_say_what_was_done_and_go_on_over_a_crash(place):
    text = WORDS + 'sinks = ["mqtt"]\n' + ANOMALY + "[metrics]\nport = 0\n"
    with daemon(write_config(place.folder, text)) as running:
        port = running.until(lambda told: told["metrics_port"])["metrics_port"]
        first = running.pid("keyword")
        running.pid("anomaly")
        place.say("yes")
        place.log(30)
        running.until(
            lambda told: (
                told["workloads"]["keyword"]["triggers"] == 1
                and told["workloads"]["anomaly"]["inferences"] == 30
            )
        )
        before = scraped(port)
        os.kill(first, signal.SIGKILL)
        running.until(lambda told: told["workloads"]["keyword"]["starts"] == 2)
        running.pid("keyword")
        place.say("no")
        running.until(lambda told: told["workloads"]["keyword"]["triggers"] == 2)
        after = scraped(port)
    words = {"workload": "keyword"}
    assert value(before, "edge_agent_inferences_total", workload="anomaly") == 30
    assert value(before, "edge_agent_up", **words) == 1
    assert value(before, "edge_agent_audio_seconds_total", **words) == pytest.approx(2.0)
    windows = value(before, "edge_agent_inferences_total", **words)
    assert windows > 10
    for name in ("edge_agent_score", "edge_agent_inference_seconds"):
        assert value(before, f"{name}_bucket", le="+Inf", **words) == windows
        assert value(before, f"{name}_count", **words) == windows
    assert value(before, "edge_agent_score_bucket", le="0.6", **words) < windows
    assert 1e7 < value(before, "edge_agent_resident_bytes", process="keyword") < 1e9
    assert value(before, "edge_agent_update_state", state="idle") == 1
    assert value(after, "edge_agent_inferences_total", **words) == 2 * windows
    assert value(after, "edge_agent_starts_total", **words) == 2
    assert value(after, "edge_agent_sink_dropped_total", sink="stdout") == 0
    assert "detection" not in [event["event"] for event in running.events], "not among its sinks"


def scraped(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def value(families, name, **labels):
    (found,) = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found

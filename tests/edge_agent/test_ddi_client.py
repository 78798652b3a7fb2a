"""What a device makes of a DDI server's answers: those of hawkBit, and hostile ones."""

import contextlib
import http.server
import json
import threading
import time

import pytest

from edge_agent.update import telemetry
from edge_agent.update.ddi import DdiClient, origin
from edge_agent.update.directed import Directed
from edge_agent.update.errors import UnreachableError
from edge_agent.update.memory import Memory, Report
from edge_agent.update.progress import MAX_TOLD, Progress
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.telemetry import Work
from edge_agent.update.updater import Updater
from edge_agent.update.waiting import Limits

# As Eclipse hawkBit 1.1 answers, with what its users may leave out left out.
DEPLOYMENT = {
    "id": "8",
    "deployment": {
        "download": "forced",
        "update": "forced",
        "chunks": [
            {"part": "os", "version": "1", "name": "base", "artifacts": []},
            {
                "part": "bApp",
                "version": "1.0.3",
                "name": "keyword_spotting",
                "artifacts": [
                    {
                        "filename": "x.bundle",
                        "hashes": {"sha1": "1", "md5": "2", "sha256": "3"},
                        "size": 57646,
                        "_links": {"download-http": {"href": "/artifacts/x.bundle"}},
                    }
                ],
                "metadata": [{"key": "target", "value": "keyword_spotting/x.bundle"}],
            },
        ],
    },
}


class Server:
    """Answers every request with the same, and keeps what it is sent.

    Attributes:
        answer: status, headers and body of the next answers.
        refused: the status for those whose path ends like this.
        sent: method, path and body of what came.
        tokens: by which it was asked.
    """

    def __init__(self) -> None:
        self.answer = (200, {}, b"{}")
        self.refused = {}
        self.sent = []
        self.tokens = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = outer.answer
                length = int(self.headers.get("Content-Length", 0))
                outer.sent.append((self.command, self.path, self.rfile.read(length)))
                outer.tokens.append(self.headers.get("Authorization"))
                refused = [c for end, c in outer.refused.items() if self.path.endswith(end)]
                self.send_response(refused[0] if refused else status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *arguments) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def says(self, body, status=200, **headers) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = (status, headers, data)


@pytest.fixture(scope="module")
def running():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def server(running):
    running.says({})
    running.sent.clear()
    running.refused.clear()
    return running


@pytest.fixture
def ddi(server) -> DdiClient:
    return DdiClient(server.address, "DEFAULT", "pump 7/a", "TargetToken t", Limits())


def test_a_deployment_of_hawkbit_is_understood(server, ddi):
    server.says(
        {
            "config": {"polling": {"sleep": "00:05:00"}},
            "_links": {"deploymentBase": {"href": f"{server.address}/d/8?c=1"}},
        }
    )
    poll = ddi.poll()
    assert server.sent[0][1] == "/DEFAULT/controller/v1/pump%207%2Fa"
    assert (poll.sleep_s, poll.deployment) == (300.0, f"{server.address}/d/8?c=1")
    server.says(DEPLOYMENT)
    found = ddi.deployment(poll.deployment)
    assert (found.action, found.version) == ("8", "1.0.3")
    assert (found.target, found.digest) == ("keyword_spotting/x.bundle", "3")
    assert (found.rollback, found.held) == (False, False)
    assert found.artifact.url == f"{server.address}/artifacts/x.bundle"
    assert found.artifact.headers == {"Authorization": "TargetToken t"}


@pytest.mark.parametrize(
    "change", [{"update": "skip"}, {"download": "skip"}, {"maintenanceWindow": "unavailable"}]
)
def test_what_the_server_holds_back_is_held(server, ddi, change):
    server.says({"id": "8", "deployment": DEPLOYMENT["deployment"] | change})
    assert ddi.deployment(server.address).held


def test_feedback_is_as_hawkbit_takes_it(server, ddi):
    ddi.feedback("8", "closed", "failure", "r" * 1000)
    method, path, body = server.sent[0]
    assert (method, path) == (
        "POST", "/DEFAULT/controller/v1/pump%207%2Fa/deploymentBase/8/feedback"
    )  # fmt: skip
    told = json.loads(body)
    assert told["id"] == "8"
    assert told["status"]["execution"] == "closed"
    assert told["status"]["result"] == {"finished": "failure"}
    assert told["status"]["details"] == ["r" * 500]


@pytest.mark.parametrize("status", [404, 410])
def test_an_action_that_is_closed_meanwhile_is_no_error(server, ddi, status):
    server.says({}, status)
    ddi.feedback("8", "closed", "success")
    assert ddi.deployment(server.address) is None
    assert ddi.cancelled(server.address) is None


def test_a_token_goes_to_its_own_server_alone(server, ddi):
    other = json.loads(json.dumps(DEPLOYMENT))
    artifact = other["deployment"]["chunks"][1]["artifacts"][0]
    artifact["_links"] = {"download": {"href": "https://elsewhere.example/x"}}
    server.says(other)
    assert ddi.deployment(server.address).artifact.headers == {}
    with pytest.raises(UnreachableError, match="sends the agent to another server"):
        ddi.deployment("http://elsewhere.example/d/8")
    for scheme in ("file:///etc/passwd", "ftp://x/y"):
        server.says({"_links": {"deploymentBase": {"href": scheme}}})
        assert ddi.poll().deployment is None


def test_a_token_that_is_kept_from_listeners_is_kept_from_them_throughout(server):
    """The same host by http:// is another server: there the token could be read on the way."""
    safe = server.address.replace("http://", "https://")
    ddi = DdiClient(safe, "DEFAULT", "pump", "TargetToken t", Limits())
    with pytest.raises(UnreachableError, match="sends the agent to another server"):
        ddi.deployment(f"{server.address}/d/8")
    assert server.sent == []


@pytest.mark.parametrize(
    ("base", "href", "ours"),
    [
        ("https://fleet.example", "https://fleet.example:443/x", True),
        ("https://fleet.example:443", "https://Fleet.Example/x", True),
        ("http://fleet.example:80", "http://fleet.example/x", True),
        ("https://fleet.example", "https://fleet.example:8443/x", False),
        ("https://fleet.example", "https://fleet.example.evil/x", False),
        ("https://fleet.example", "https://fleet.example@evil.example/x", False),
        ("https://fleet.example", "http://fleet.example:443/x", False),
        ("https://fleet.example", "https://fleet.example:x/x", False),
    ],
)
def test_a_server_is_the_same_however_its_address_is_written(base, href, ours):
    assert (origin(base) == origin(href)) is ours


def test_a_download_between_two_reports_costs_them_no_time(server, ddi, monkeypatch):
    now = time.monotonic
    ddi.feedback("8", "download", "none")
    monkeypatch.setattr(time, "monotonic", lambda: now() + 600)
    ddi.feedback("8", "closed", "success")
    assert len(server.sent) == 2


def test_a_report_that_the_server_finds_fault_with_is_not_told_for_ever(server, ddi, tmp_path):
    telemetry.keep(tmp_path, {("words", "1.0.0"): Work(hours=1), ("words", "1.0.1"): Work(hours=1)})
    server.says({}, 400)
    Directed(ddi, tmp_path, "words", {})._tell_work()
    assert len(server.sent) == 2
    assert telemetry.waiting(tmp_path) == []


def directed(ddi, root, memory=None) -> tuple[Directed, Updater]:
    """What follows the server of `ddi`, on a device in `root` that remembers `memory`."""
    folder = DeviceFolder.made(root)
    if memory is not None:
        folder.record(memory)
    updater = Updater(folder, connect=pytest.fail, watched=lambda: False, present={})
    return Directed(ddi, root, "words", {"hardware": "pump"}), updater


ENDED = Memory(report=Report(action="8", success=True, reason=""))


def test_a_report_that_the_server_has_no_room_for_keeps_nobody_from_later_updates(
    server, ddi, tmp_path
):
    """hawkBit answers so once an action has 1,000 entries."""
    server.refused["/feedback"] = 403
    server.says({"config": {"polling": {"sleep": "00:05:00"}}})
    does, updater = directed(ddi, tmp_path, ENDED)
    assert does.run(updater).sleep_s == 300.0
    assert updater.memory.report is None


@pytest.mark.parametrize("status", [403, 503])
def test_a_report_waits_where_the_server_lets_nobody_in(server, ddi, tmp_path, status):
    server.says({}, status)
    does, updater = directed(ddi, tmp_path, ENDED)
    with pytest.raises(UnreachableError):
        does.run(updater)
    assert DeviceFolder(tmp_path).memory().report == ENDED.report


def test_attributes_that_the_server_does_not_take_keep_nobody_from_updates(server, ddi, tmp_path):
    server.refused["/configData"] = 403
    does, updater = directed(ddi, tmp_path)
    does.run(updater)
    does.run(updater)
    assert [method for method, _, _ in server.sent] == ["GET", "PUT", "GET"]


def test_what_was_told_last_is_not_told_again_not_even_after_a_restart(server, ddi, tmp_path):
    for detail in ("waits", "waits", "downloads", "waits"):
        Progress(ddi, tmp_path).tell("8", "scheduled", detail)
    assert len(server.sent) == 3


def test_an_action_that_begins_again_and_again_leaves_room_for_its_end(server, ddi, tmp_path):
    progress = Progress(ddi, tmp_path)
    for turn in range(2 * MAX_TOLD):
        progress.tell("8", "proceeding", f"{turn}")
    assert len(server.sent) == MAX_TOLD
    progress.tell("9", "proceeding", "another")
    assert len(server.sent) == MAX_TOLD + 1


def test_a_server_that_takes_no_more_of_an_action_is_left_in_peace(server, ddi, tmp_path):
    server.refused["/8/feedback"] = 403
    progress = Progress(ddi, tmp_path)
    progress.tell("8", "download", "one")
    progress.tell("8", "downloaded", "two")
    progress.tell("9", "download", "one")
    assert len(server.sent) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b"[" * 100_000, b"{" + b" " * 300_000 + b"}", b"\xff\xfe"],
)
def test_what_is_no_answer_is_refused(server, ddi, body):
    server.says(body)
    with pytest.raises(UnreachableError, match="does not talk as hawkBit's DDI does"):
        ddi.poll()


@pytest.mark.parametrize(
    "body",
    [
        {}, {"id": 1, "deployment": []}, {"id": 1, "deployment": {"chunks": []}},
        {"id": 1, "deployment": {"chunks": [7]}},
        {"id": 1, "deployment": {"chunks": [{"name": "x", "version": "1", "metadata": [{}]}]}},
    ],
)  # fmt: skip
def test_what_is_no_deployment_is_refused(server, ddi, body):
    server.says(body)
    with pytest.raises(UnreachableError, match="does not talk as hawkBit's DDI does"):
        ddi.deployment(server.address)


@pytest.mark.parametrize(
    "poll", [{"config": 7}, {"_links": 7}, {"_links": {"cancelAction": "x"}}, {"config": {}}]
)
def test_odd_polls_ask_for_nothing(server, ddi, poll):
    server.says(poll)
    found = ddi.poll()
    assert (found.sleep_s, found.cancel, found.deployment) == (None, None, None)


def test_a_redirect_to_another_host_loses_the_token(server, ddi):
    other = Server()
    try:
        server.says(b"", 302, Location=f"{other.address}/here")
        other.says({"config": {"polling": {"sleep": "00:01:00"}}})
        assert ddi.poll().sleep_s == 60.0
        assert (other.sent[0][1], other.tokens) == ("/here", [None])
    finally:
        other.close()

"""Hooks: what they are told, how long they may take, and what never gets into a message."""

from __future__ import annotations

import base64
import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from components.base import UserError
from pipeline.schedule.hooks import Outcome, hook, tell
from tests.fixtures.processes import is_running

OUTCOME = Outcome(
    recipe="keyword_spotting",
    root="the root",
    state="refused",
    exit_code=3,
    run=7,
    report="the root/keyword_spotting/report.json",
    version=None,
)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes documents; the path says how it answers."""

    received: ClassVar[list[tuple[str, dict[str, str], Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, dict(self.headers), json.loads(body)))
        what = self.path.split("?")[0]
        if what == "/drip":
            for _ in range(600):
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.1)
        elif what == "/moved":
            self.send_response(302)
            self.send_header("Location", "/other")
            self.end_headers()
        elif what == "/rubbish":
            self.wfile.write(b"no http at all\r\n\r\n")
        else:
            self.send_response(500 if what == "/broken" else 204)
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """Its host and port."""
    Receiver.received.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{found.server_port}"
        found.shutdown()


def test_a_command_finds_the_outcome_in_its_environment(tmp_path):
    told = tmp_path / "told"
    code = (
        "import json, os, sys; names = [n for n in os.environ if n.startswith('PIPELINE_')];"
        "open(sys.argv[1], 'w').write(json.dumps({n: os.environ[n] for n in names}))"
    )
    command = f'"{sys.executable}" -c "{code}" "{told}"'
    assert tell(hook("--on-failure", command), OUTCOME) is None
    assert json.loads(told.read_text()) == {
        "PIPELINE_RECIPE": "keyword_spotting",
        "PIPELINE_ROOT": "the root",
        "PIPELINE_STATE": "refused",
        "PIPELINE_EXIT_CODE": "3",
        "PIPELINE_RUN": "7",
        "PIPELINE_REPORT": "the root/keyword_spotting/report.json",
        "PIPELINE_VERSION": "",
    }


def test_a_webhook_gets_the_outcome_and_its_credentials_as_a_header(server):
    found = hook("--on-failure", f"http://user:pass%20word@{server}/hook?token=abc#part")
    assert tell(found, OUTCOME) is None
    ((path, headers, document),) = Receiver.received
    assert path == "/hook?token=abc"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'user:pass word').decode()}"
    assert document == {
        "recipe": "keyword_spotting",
        "root": "the root",
        "state": "refused",
        "exit_code": 3,
        "run": 7,
        "report": "the root/keyword_spotting/report.json",
        "version": None,
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/broken", "webhook: the server answers 500"),
        ("/moved", "webhook: the server answers 302"),
        ("/rubbish", "webhook: BadStatusLine"),
    ],
)
def test_a_webhook_that_is_not_taken_is_told_without_its_secrets(server, capfd, path, said):
    found = hook("--on-failure", f"http://user:secret@{server}{path}?token=secret")
    assert tell(found, OUTCOME) == "ended with exit code 1"
    assert len(Receiver.received) == 1  # the document goes to no other place
    printed = capfd.readouterr()
    assert said in printed.err
    assert "secret" not in printed.out + printed.err + found.name


def test_a_webhook_where_nobody_listens_is_told(capfd):
    found = hook("--on-failure", "http://127.0.0.1:9/secret")
    assert tell(found, OUTCOME) == "ended with exit code 1"
    error = capfd.readouterr().err
    assert "refused" in error
    assert "secret" not in error


def test_a_server_that_drips_is_left_after_the_time(server):
    begin = time.monotonic()
    assert tell(hook("--on-success", f"http://{server}/drip"), OUTCOME, seconds=2.0) == (
        "ended, as it took more than 2 s"
    )
    assert time.monotonic() - begin < 30


def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path):
    program = tmp_path / "hang"
    program.write_text(f'#!/bin/sh\nsleep 60 & echo $! > "{tmp_path}/pid"\nwait\n')
    program.chmod(0o755)
    assert "more than 2 s" in (tell(hook("--on-success", str(program)), OUTCOME, 2.0) or "")
    process = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 60
    while is_running(process) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(process)


def test_a_command_that_fails_or_cannot_start_is_told(tmp_path):
    assert tell(hook("--on-success", "sh -c 'exit 4'"), OUTCOME) == "ended with exit code 4"
    program = tmp_path / "program"
    program.write_text("#!/missing/interpreter\n")
    program.chmod(0o755)
    found = hook("--on-success", f"{program} --token secret")
    assert found.name == "program"
    assert tell(found, OUTCOME) == "No such file or directory"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ('say "secret', "the command line cannot be read: No closing quotation"),
        ("no-such-program-here secret", "no-such-program-here: there is no such program"),
        ("ftp://host/secret", "ftp://...: give an http:// or https:// URL"),
        ("http://", "http://...: give an http:// or https:// URL with a host"),
        ("http://user:secret@", "http://...: give an http:// or https:// URL with a host"),
        ("https://[secret/x", "https://...: give an http:// or https:// URL with a host"),
        ("https://host:secret/x", "https://...: give an http:// or https:// URL with a host"),
    ],
)
def test_a_hook_that_can_be_none_is_refused_without_its_secrets(text, said):
    with pytest.raises(UserError) as e:
        hook("--on-success", text)
    assert str(e.value).startswith("--on-success")
    assert said in str(e.value)
    assert "secret" not in str(e.value)

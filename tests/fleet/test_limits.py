"""How often somebody may ask, and what a request may weigh before anybody reads it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.__main__ import main
from fleet.command_line import parse
from fleet.server.access import address_of
from fleet.server.limits import Buckets
from fleet.server.problems import Problem
from tests.fixtures.fleet_process import serving


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _takes(buckets: Buckets, key: object) -> bool:
    try:
        buckets.take(key)
    except Problem as e:
        return e.status != 429
    return True


def test_a_bucket_holds_a_minute_and_fills_up_evenly():
    clock = _Clock()
    buckets = Buckets(6, clock)
    assert [_takes(buckets, "a") for _ in range(8)] == [True] * 6 + [False] * 2
    assert _takes(buckets, "b")
    with pytest.raises(Problem, match="come again in 10 s"):
        buckets.check("a")
    clock.now = 10.0
    buckets.check("a")
    assert [_takes(buckets, "a") for _ in range(2)] == [True, False]
    clock.now = 1000.0
    assert sum(_takes(buckets, "a") for _ in range(20)) == 6


def test_a_rate_below_one_a_minute_lets_one_through():
    clock = _Clock()
    buckets = Buckets(0.5, clock)
    assert [_takes(buckets, "a") for _ in range(2)] == [True, False]
    clock.now = 120.0
    assert [_takes(buckets, "a") for _ in range(2)] == [True, False]


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.integers(1, 20))
def test_no_minute_sees_more_than_twice_the_rate(waits, rate):
    clock = _Clock()
    buckets = Buckets(rate, clock)
    taken = []
    for wait in waits:
        clock.now += wait
        if _takes(buckets, "a"):
            taken.append(clock.now)
    for moment in taken:
        assert sum(moment <= other < moment + 60 for other in taken) <= 2 * rate


def test_full_buckets_are_forgotten(monkeypatch):
    monkeypatch.setattr("fleet.server.limits._MOST", 100)
    clock = _Clock()
    buckets = Buckets(60, clock)
    for number in range(1000):
        clock.now += 1.0
        buckets.take(number)
    assert len(buckets._full) < 110


def test_a_client_of_ipv6_is_its_network():
    def address(host: str) -> str:
        return address_of({"client": (host, 1)})

    assert address("2001:db8::1") == address("2001:db8::ffff:2") != address("2001:db8:0:1::1")
    assert address("192.0.2.1") == address("::ffff:192.0.2.1") != address("::ffff:192.0.2.2")
    assert address("fe80::1%eth0") == address("fe80::2")
    assert address("a socket") == "a socket"


@pytest.fixture
def root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    root = tmp_path / "fleet"
    assert main(parse(["fleet", "init", "--root", str(root), "--json"])) == 0
    (tmp_path / "tokens").write_text(capsys.readouterr().out)
    return root


def test_too_many_requests_and_log_ins_are_refused_one_by_one(root):
    tokens = json.loads((root.parent / "tokens").read_text())
    gateway = {"Authorization": f"GatewayToken {tokens['gateway_token']}"}
    admin = {"Authorization": f"Bearer {tokens['admin_token']}"}
    wrong = {"Authorization": "Bearer wrong"}
    rates = ["--device-rate", "5", "--operator-rate", "4", "--refusal-rate", "3"]
    with serving(root, *rates) as address, httpx.Client(base_url=address, timeout=60) as client:

        def asked(path: str, headers: dict[str, str], times: int) -> list[int]:
            return [client.get(path, headers=headers).status_code for _ in range(times)]

        cam, dog = "/default/controller/v1/cam", "/default/controller/v1/dog"
        assert asked(cam, gateway, 8) == [200] * 6 + [429] * 2  # the first one registers it
        assert asked(dog, gateway, 1) == [200]
        assert asked(cam, {"Authorization": "TargetToken wrong"}, 5) == [401] * 3 + [429] * 2
        assert asked(dog, gateway, 1) == [200]  # at the same address
        refused = client.get(cam, headers=gateway)
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        devices = "/api/v1/default/devices"
        assert asked(devices, admin, 6) == [200] * 4 + [429] * 2
        assert asked(devices, wrong, 5) == [401] * 3 + [429] * 2
        page = client.post("/login", data={"token": "wrong"})
        assert (page.status_code, "retry-after" in page.headers) == (429, True)
        guesses = [f"/default/controller/v1/{'x' * 300}{number}" for number in range(5)]
        assert [client.get(path).status_code for path in guesses] == [401] * 3 + [429] * 2
        assert asked("/health/live", {}, 20) == [200] * 20


def test_tokens_that_are_guessed_by_cookie_are_counted_too(root):
    with (
        serving(root, "--refusal-rate", "3") as address,
        httpx.Client(base_url=address, timeout=60, cookies={"fleet_operator": "wrong"}) as client,
    ):
        assert [client.get("/").status_code for _ in range(5)] == [303] * 3 + [429] * 2


def test_on_this_machine_alone_there_are_no_limits(root):
    with serving(root) as address, httpx.Client(base_url=address, timeout=60) as client:
        path = "/default/controller/v1/cam"
        assert {client.get(path).status_code for _ in range(100)} == {401}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: %s\r\n" % (b"a" * 1000) * 100 + b"\r\n", 431),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 100_000), 431),
    ],
)
def test_what_is_no_request_is_a_problem_too(root, request_, status):
    with serving(root) as address:
        head, body = _answer(address, request_)
    assert b"application/problem+json" in head
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["status"] == status


def _answer(address: str, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of what the server says to this, until it hangs up."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), 60) as connection:
        connection.sendall(sent)
        answer = b""
        while block := connection.recv(65_536):
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\n",
    ],
)
def test_a_head_that_does_not_come_holds_no_connection(server, monkeypatch, sent):
    monkeypatch.setattr("fleet.server.protocol.PATIENCE_S", 0.3)
    head, body = _answer(server.address, sent)
    answered = head + body
    assert b"HTTP/1.1 408 " in answered
    assert answered.endswith(b"}")
    assert server.admin.get("/health/live").status_code == 200


def test_a_body_that_does_not_come_holds_no_connection(server, monkeypatch):
    monkeypatch.setattr("fleet.server.bodies.PATIENCE_S", 0.3)
    server.device("cam").get("")
    head, body = _answer(
        server.address,
        b"PUT /default/controller/v1/cam/configData HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
        b"Authorization: GatewayToken %s\r\n\r\n{" % server.gateway_token.encode(),
    )
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["status"] == 408


def test_a_slow_but_steady_client_is_served(server, monkeypatch):
    monkeypatch.setattr("fleet.server.protocol.PATIENCE_S", 5.0)
    place = urlsplit(server.address)
    with socket.create_connection((place.hostname, place.port), 60) as connection:
        for _ in range(3):
            for piece in (b"GET /health/live HT", b"TP/1.1\r\nHo", b"st: a\r\n", b"\r\n"):
                connection.sendall(piece)
                time.sleep(0.02)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, json.loads(answer.read())) == (200, {"status": "live"})


def test_an_answer_under_way_is_not_cut_by_the_next_request(server, monkeypatch):
    monkeypatch.setattr("fleet.server.protocol.PATIENCE_S", 0.2)
    content = bytes(range(256)) * 100_000
    place = server.root / "repository" / "targets" / "large.bin"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    url = urlsplit(server.address)
    with socket.create_connection((url.hostname, url.port), 60) as connection:
        connection.sendall(
            b"GET /default/tuf/targets/large.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /x HT"
        )
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        time.sleep(1)
        assert answer.read() == content

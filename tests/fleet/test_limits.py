"""How often somebody may ask, and what a request may weigh before anybody reads it."""

from __future__ import annotations

import json
import socket
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
    assert address("192.0.2.1") == "192.0.2.1"


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
        assert asked("/health/live", {}, 20) == [200] * 20


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
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), 60) as connection:
            connection.sendall(request_)
            answer = b""
            while block := connection.recv(65_536):
                answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["status"] == status

"""Downloads that resume, from servers that break off, lie, drip, flood and plead to be busy."""

import hashlib
import random
import socket
import threading
import time
from pathlib import Path

import pytest
from tuf.api import exceptions
from tuf.api.metadata import TargetFile

from edge_agent.update import partial
from edge_agent.update.download import Source, download
from edge_agent.update.fetcher import BoundedFetcher
from edge_agent.update.waiting import Limits
from tests.fixtures.ports import HeldPort
from tests.fixtures.raw_server import Request, reply, server

DATA = random.Random(7).randbytes(200_000)
TARGET = TargetFile.from_data("a.bundle", DATA, ["sha256"])
LIMITS = Limits(patience_seconds=1.0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(random, "random", lambda: 0.01)  # waits are by lot; here short ones
    monkeypatch.setattr(partial, "_SYNC_BYTES", 10_000)


class Mirror:
    """Serves `data` by the book (Range, If-Range, 416), breaking off after `breaks` bytes each."""

    def __init__(self, data: bytes = DATA, etag: str = '"one"') -> None:
        self.data = data
        self.etag = etag
        self.breaks: list[int] = []
        self.asked: list[tuple[str | None, str | None]] = []
        self.sent = 0

    def __call__(self, connection: socket.socket, request: Request) -> None:
        wanted, condition = request.headers.get("range"), request.headers.get("if-range")
        self.asked.append((wanted, condition))
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if condition not in (None, self.etag):
            start = 0
        if start >= len(self.data):
            return reply(connection, "416 No", content_range=f"bytes */{len(self.data)}")
        self.give(connection, start)

    def give(self, connection: socket.socket, start: int) -> None:
        body = self.data[start:]
        headers = {"etag": self.etag, "content_length": str(len(body))}
        if start:
            last = len(self.data) - 1
            headers["content_range"] = f"bytes {start}-{last}/{len(self.data)}"
        if self.breaks:
            body = body[: self.breaks.pop(0)]
        self.sent += len(body)
        reply(connection, "206 Partial Content" if start else "200 OK", body, **headers)


def fetch(address: str, folder: Path, limits: Limits = LIMITS, target: TargetFile = TARGET) -> int:
    return download(
        BoundedFetcher(limits), Source(f"{address}/a.bundle"), target, folder / "a.bundle"
    )


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def breaks_off(mirror: Mirror, folder: Path, after: int = 50_000) -> None:
    """A first download that is cut for good: its only try ends after so many bytes."""
    mirror.breaks = [after]
    with (
        server(mirror) as address,
        pytest.raises(exceptions.DownloadError, match="cut short"),
    ):
        fetch(address, folder, Limits(tries=1))
    assert left(folder) == {".a.bundle.download", ".a.bundle.download.json"}


def test_a_broken_download_goes_on_where_it_was(tmp_path):
    mirror = Mirror()
    mirror.breaks = [50_000, 70_000, 30_000]
    with server(mirror) as address:
        received = fetch(address, tmp_path)
    assert (tmp_path / "a.bundle").read_bytes() == DATA
    assert received == mirror.sent == len(DATA), "no byte came twice"
    assert mirror.asked == [
        (None, None),
        ("bytes=50000-", '"one"'),
        ("bytes=120000-", '"one"'),
        ("bytes=150000-", '"one"'),
    ]
    assert left(tmp_path) == {"a.bundle"}


def test_the_next_run_of_the_agent_goes_on_too(tmp_path):
    mirror = Mirror()
    breaks_off(mirror, tmp_path)
    with server(mirror) as address:
        assert fetch(address, tmp_path) == len(DATA) - 50_000
    assert (tmp_path / "a.bundle").read_bytes() == DATA


def test_a_server_that_broke_off_may_be_away_for_a_while(tmp_path):
    mirror = Mirror()
    mirror.breaks = [50_000, 0, 0]
    with server(mirror) as address:
        assert fetch(address, tmp_path) == len(DATA)


def test_an_ignored_range_starts_over(tmp_path):
    mirror = Mirror()
    breaks_off(mirror, tmp_path)

    def whole(connection, request):
        mirror.give(connection, 0)

    with server(whole) as address:
        assert fetch(address, tmp_path) == len(DATA)
    assert (tmp_path / "a.bundle").read_bytes() == DATA


def test_a_changed_etag_starts_over(tmp_path):
    breaks_off(Mirror(), tmp_path)
    mirror = Mirror(etag='"two"')
    with server(mirror) as address:
        assert fetch(address, tmp_path) == len(DATA)
    assert mirror.asked == [("bytes=50000-", '"one"')]


def test_a_changed_etag_with_a_part_all_the_same_starts_over(tmp_path):
    breaks_off(Mirror(), tmp_path)
    mirror = Mirror(etag='"two"')

    def part(connection, request):
        mirror(connection, Request(request.path, request.headers | {"if-range": '"two"'}))

    with server(part) as address:
        fetch(address, tmp_path)
    assert (tmp_path / "a.bundle").read_bytes() == DATA
    assert [wanted for wanted, _ in mirror.asked] == ["bytes=50000-", None]


@pytest.mark.parametrize(
    "part", ["bytes 1-199999/200000", "bytes 49999-199999/200000", "nonsense", ""]
)
def test_another_part_than_asked_for_starts_over(tmp_path, part):
    mirror = Mirror()
    breaks_off(mirror, tmp_path)

    def other(connection, request):
        if "range" in request.headers:
            return reply(connection, "206 Partial Content", DATA[1:], content_range=part)
        return mirror.give(connection, 0)

    with server(other) as address:
        fetch(address, tmp_path)
    assert (tmp_path / "a.bundle").read_bytes() == DATA


def test_a_part_that_nobody_asked_for_is_refused(tmp_path):
    def part(connection, request):
        reply(connection, "206 Partial Content", DATA, content_range="bytes 0-199999/200000")

    with server(part) as address, pytest.raises(exceptions.DownloadError, match="another part"):
        fetch(address, tmp_path)
    assert left(tmp_path) == set()


def test_416_starts_over(tmp_path):
    mirror = Mirror()
    breaks_off(mirror, tmp_path)

    def unwilling(connection, request):
        if "range" in request.headers:
            return reply(connection, "416 Range Not Satisfiable", content_range="bytes */9")
        return mirror.give(connection, 0)

    with server(unwilling) as address:
        fetch(address, tmp_path)
    assert (tmp_path / "a.bundle").read_bytes() == DATA


@pytest.mark.parametrize("damage", ["bit", "cut", "grown", "note", "other", "gone"])
def test_what_was_kept_is_checked_before_it_is_built_upon(tmp_path, damage):
    mirror = Mirror()
    breaks_off(mirror, tmp_path)
    kept, note = tmp_path / ".a.bundle.download", tmp_path / ".a.bundle.download.json"
    data = bytearray(kept.read_bytes())
    match damage:
        case "bit":
            data[1000] ^= 1
            kept.write_bytes(data)
        case "cut":
            kept.write_bytes(data[:-1])
        case "grown":
            kept.write_bytes(data + bytes(5000))  # written, but not vouched for: a power cut
        case "note":
            note.write_bytes(b'{"bytes": 5')
        case "other":
            note.write_bytes(note.read_bytes().replace(TARGET.hashes["sha256"].encode(), b"0" * 64))
        case "gone":
            kept.unlink()
    with server(mirror) as address:
        received = fetch(address, tmp_path)
    assert (tmp_path / "a.bundle").read_bytes() == DATA
    assert received == (len(DATA) - 50_000 if damage == "grown" else len(DATA))


def test_a_wrong_beginning_that_was_kept_costs_one_more_download(tmp_path):
    mirror = Mirror(data=bytes(len(DATA)))
    breaks_off(mirror, tmp_path)
    mirror.data = DATA
    with server(mirror) as address:
        assert fetch(address, tmp_path) == len(DATA) + len(DATA) - 50_000
    assert (tmp_path / "a.bundle").read_bytes() == DATA


@pytest.mark.parametrize("change", ["flip", "shorter", "longer"])
def test_nothing_is_kept_of_what_was_not_signed(tmp_path, change):
    data = {
        "flip": DATA[:-1] + bytes([DATA[-1] ^ 1]),
        "shorter": DATA[:-1],
        "longer": DATA + b"x",
    }[change]
    (tmp_path / "a.bundle").write_bytes(b"what was here before")
    wrong = (exceptions.LengthOrHashMismatchError, exceptions.DownloadLengthMismatchError)
    with server(Mirror(data)) as address, pytest.raises(wrong):
        fetch(address, tmp_path)
    assert left(tmp_path) == {"a.bundle"}
    assert (tmp_path / "a.bundle").read_bytes() == b"what was here before"


def test_endless_data_is_read_no_further_than_signed(tmp_path):
    sent = 0

    def endless(connection, request):
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += connection.send(bytes(65536))

    with (
        server(endless) as address,
        pytest.raises(exceptions.DownloadLengthMismatchError, match="more than the 200000 bytes"),
    ):
        fetch(address, tmp_path)
    assert sent < 20_000_000  # what the socket's buffers took
    assert left(tmp_path) == set()


def test_what_comes_compressed_is_not_unpacked(tmp_path):
    def bomb(connection, request):
        assert request.headers["accept-encoding"] == "identity"
        reply(connection, "200 OK", b"\x1f\x8b" + bytes(5000), content_encoding="gzip")

    with (
        server(bomb) as address,
        pytest.raises(exceptions.DownloadError, match="'gzip', which was"),
    ):
        fetch(address, tmp_path)


def test_a_slow_drip_is_left_in_time_and_gone_on_with_later(tmp_path):
    def drip(connection, request):
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "one"\r\nContent-Length: 200000\r\n\r\n')
        for start in range(0, len(DATA), 100):
            connection.sendall(DATA[start : start + 100])
            time.sleep(0.02)  # 40 s in all

    begun = time.monotonic()
    with (
        server(drip) as address,
        pytest.raises(exceptions.SlowRetrievalError, match="total time used up"),
    ):
        fetch(address, tmp_path, Limits(total_seconds=2.0))
    assert time.monotonic() - begun < 20
    mirror = Mirror()
    with server(mirror) as address:
        received = fetch(address, tmp_path)
    assert 0 < received < len(DATA)
    assert (tmp_path / "a.bundle").read_bytes() == DATA


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize("header", [{"retry_after": "1"}, {}])
def test_a_busy_server_is_asked_again_when_it_says(tmp_path, status, header):
    mirror, times = Mirror(), []

    def busy(connection, request):
        times.append(time.monotonic())
        if len(times) < 3:
            return reply(connection, status, **header)
        return mirror(connection, request)

    with server(busy) as address:
        fetch(address, tmp_path)
    assert times[1] - times[0] >= (1.0 if header else 0.01)
    assert (tmp_path / "a.bundle").read_bytes() == DATA


@pytest.mark.parametrize("asked", ["3600", "Thu, 26 Nov 2099 12:00:30 GMT"])
def test_a_server_that_asks_for_too_long_a_wait_is_left_at_once(tmp_path, asked):
    def busy(connection, request):
        reply(connection, "503 Service Unavailable", retry_after=asked)

    begun = time.monotonic()
    with (
        server(busy) as address,
        pytest.raises(exceptions.DownloadHTTPError, match=r"busy: asks to come back in \d+ s"),
    ):
        fetch(address, tmp_path)
    assert time.monotonic() - begun < 30


def test_a_storm_of_busy_answers_is_left_after_a_few_tries(tmp_path):
    count = 0

    def busy(connection, request):
        nonlocal count
        count += 1
        reply(connection, "503 Service Unavailable")

    with server(busy) as address, pytest.raises(exceptions.DownloadHTTPError, match="503"):
        fetch(address, tmp_path)
    assert count == LIMITS.tries


def test_a_server_that_breaks_off_for_ever_is_left_after_a_few_tries(tmp_path):
    mirror = Mirror()
    mirror.breaks = [1000] * 100
    with server(mirror) as address, pytest.raises(exceptions.DownloadError, match="cut short"):
        fetch(address, tmp_path)
    assert len(mirror.asked) == LIMITS.tries


def test_a_redirect_loop_is_left(tmp_path):
    count = 0

    def around(connection, request):
        nonlocal count
        count += 1
        reply(connection, "307 Temporary Redirect", location="/a.bundle")

    with server(around) as address, pytest.raises(exceptions.DownloadError, match="more than 5"):
        fetch(address, tmp_path)
    assert count == 6


def test_the_rate_limit_is_kept(tmp_path):
    with server(Mirror()) as address:
        begun = time.monotonic()
        fetch(address, tmp_path, Limits(bytes_per_second=400_000))
        assert time.monotonic() - begun >= 0.45


def test_a_name_server_that_does_not_answer_costs_little(tmp_path, monkeypatch):
    left_alone = threading.Event()

    def silence(*arguments, **named):
        assert left_alone.wait(60), "it was waited for"
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silence)
    with pytest.raises(exceptions.SlowRetrievalError, match="no name server told the address"):
        fetch("http://updates.example.org", tmp_path, Limits(connect_seconds=0.2))
    left_alone.set()


def test_the_second_address_is_tried_when_the_first_does_not_answer(tmp_path, monkeypatch):
    held = HeldPort()
    dead = ("127.0.0.1", held.number)
    found = socket.getaddrinfo

    def two(host, port, **named):
        (there, *_) = found("127.0.0.1", port, **named)
        return [(*there[:4], dead), there]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with server(Mirror()) as address:
        assert fetch(address, tmp_path) == len(DATA)


def test_a_local_file_goes_on_too(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served/a.bundle").write_bytes(DATA)
    (tmp_path / "device").mkdir()
    breaks_off(Mirror(etag=""), tmp_path / "device")
    assert fetch((tmp_path / "served").as_uri(), tmp_path / "device") == len(DATA) - 50_000
    digest = hashlib.sha256((tmp_path / "device/a.bundle").read_bytes()).hexdigest()
    assert digest == TARGET.hashes["sha256"]

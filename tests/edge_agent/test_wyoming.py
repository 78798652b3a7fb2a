"""The Wyoming protocol: any bytes, one client's talk, and real peers over TCP."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config import ConfigError, read_config
from edge_agent.keyword.policy import Detection
from edge_agent.sources.connection import notice_loss
from edge_agent.sources.patient import Patience, SourceError
from edge_agent.sources.wyoming import WyomingMicrophone
from edge_agent.wyoming import protocol
from edge_agent.wyoming.protocol import Event, Parser, ProtocolError, encode
from edge_agent.wyoming.wake import WakeTalk
from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.ports import HeldPort
from tests.fixtures.speech import utterance

PEER = "wyoming==1.10.2"
FORMAT = {"rate": 16_000, "width": 2, "channels": 1}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
EVENTS = st.builds(
    lambda type_, data, payload: Event(type=type_, data=data, payload=payload),
    st.text(max_size=12),
    st.dictionaries(st.text(max_size=8), JSON, max_size=3),
    st.binary(max_size=40),
)
LINES = st.builds(
    lambda head, rest: json.dumps(head).encode() + b"\n" + rest,
    st.dictionaries(
        st.sampled_from(["type", "data", "data_length", "payload_length", "version"]), JSON
    ),
    st.binary(max_size=60),
)


def spoken(*labels: str) -> bytes:
    return np.concatenate([utterance(label, LABELS, seed=7) for label in labels]).tobytes()


def hears_nothing(data: bytes, piece: int = 7) -> None:
    """Feeds a talk with whatever `data` holds, so many bytes at a time."""
    talk = WakeTalk("words", ["yes"], lambda _: Deaf(), lambda _: None)
    parser = Parser()
    try:
        for start in range(0, len(data), piece):
            for event in parser.feed(data[start : start + piece]):
                for answer in talk.take(event):
                    assert encode(answer)
    except ProtocolError:
        return


class Deaf:
    """Hears a word in each block that is not silent."""

    def process(self, block) -> list[Detection]:
        loud = bool(len(block)) and float(np.abs(block).max()) > 0.1
        return [Detection(time_s=1.5, label="yes", score=0.9)] if loud else []

    def finish(self) -> list[Detection]:
        return []


@settings(max_examples=40)
@given(st.lists(EVENTS, max_size=4), st.integers(1, 50))
def test_events_come_back_as_they_went_however_they_are_cut(events, size):
    parser, data, found = Parser(), b"".join(map(encode, events)), []
    for start in range(0, len(data), size):
        found += parser.feed(data[start : start + size])
    assert found == events


@given(st.binary(max_size=200) | LINES | st.lists(LINES, max_size=3).map(b"".join))
def test_any_bytes_are_events_or_refused(data):
    hears_nothing(data)


@pytest.mark.fuzz
def test_a_million_damaged_talks_are_heard_or_refused():
    seed = random.SystemRandom().getrandbits(64)
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = [
        encode(Event(type=type_, data=data, payload=payload))
        for type_ in ("describe", "ping", "detect", "audio-start", "audio-chunk", "audio-stop")
        for data in ({}, FORMAT, {"names": ["yes"]})
        for payload in (b"", b"\0" * 32)
    ]
    for _ in range(1_000_000):
        data = bytearray(b"".join(chance.choices(whole, k=2)))
        for place in chance.choices(range(len(data)), k=chance.randrange(6)):
            data[place % len(data)] = chance.randrange(256)
            if chance.random() < 0.1:
                del data[place % len(data) : place % len(data) + chance.randrange(9)]
                data = data or bytearray(b"x")
        hears_nothing(bytes(data), piece=len(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x" * protocol.LONGEST_LINE, "a line of more than"),
        (b'{"type": "a", "payload_length": 1048577}\n', "payload_length is 1048577"),
        (b'{"type": "a", "data_length": -1}\n', "data_length is -1"),
        (b'{"type": "a", "data_length": true}\n', "data_length is True"),
        (b'{"type": "a", "data_length": 2}\n[]', "data is no table"),
        (b'{"kind": "a"}\n', "without a type"),
        (b"GET / HTTP/1.1\r\n\r\n", "is not JSON"),
        (b"[" * 60_000 + b"\n", "is not JSON"),
    ],
)
def test_what_is_too_large_or_no_event_is_refused_at_once(data, reason):
    with pytest.raises(ProtocolError, match=reason):
        Parser().feed(data)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1" + "0" * 400])
@pytest.mark.parametrize("name", ["text", "timestamp"])
def test_numbers_that_no_clock_shows_end_the_talk_and_not_the_service(name, number):
    data = json.dumps(FORMAT)[:-1] + f', "{name}": {number}}}'
    payload = b"\xff\x7f" * 8
    for type_ in ("ping", "audio-start", "audio-chunk"):
        head = f'{{"type": "{type_}", "data": {data}, "payload_length": {len(payload)}}}\n'
        hears_nothing(head.encode() + payload, piece=10_000)


def talk(words=("no", "yes")) -> WakeTalk:
    return WakeTalk("words", words, lambda _: Deaf(), lambda _: None)


def chunk(level: int, **data) -> Event:
    return Event(
        type="audio-chunk", data=FORMAT | data, payload=np.full(160, level, "<i2").tobytes()
    )


def test_a_word_is_told_at_its_time_on_the_clock_of_the_chunks():
    service = talk()
    assert service.take(Event(type="audio-start", data=FORMAT | {"timestamp": 60_000})) == []
    assert service.take(chunk(0)) == []
    (found,) = service.take(chunk(9_000))
    assert (found.type, found.data) == ("detection", {"name": "yes", "timestamp": 61_500})
    assert service.take(Event(type="audio-stop")) == []


def test_words_that_were_not_asked_for_are_not_told():
    service = talk()
    service.take(Event(type="detect", data={"names": ["no"]}))
    assert service.take(chunk(9_000)) == []
    assert [e.type for e in service.take(Event(type="audio-stop"))] == ["not-detected"]
    service.take(Event(type="detect", data={"names": None}))
    assert [e.type for e in service.take(chunk(9_000))] == ["detection"]


@pytest.mark.parametrize(
    "wrong", [{"width": 4}, {"rate": 0}, {"rate": "16000"}, {"channels": 9}, {"channels": None}]
)
def test_sound_that_cannot_be_read_is_refused(wrong):
    with pytest.raises(ProtocolError):
        talk().take(Event(type="audio-start", data=FORMAT | wrong))


@pytest.mark.parametrize(
    "source",
    ["wyoming:host", "wyoming-wake::1", "wyoming-wake:host:http", "wyoming:::1:10400",
     "wyoming:[::1]", "wyoming:[host]:1", "wyoming:[]:1", "wyoming:h]:1"],
)  # fmt: skip
def test_a_source_without_an_address_is_refused(tmp_path, source):
    config = write_config(tmp_path, f'[keyword]\nsource = "{source}"\n')
    with pytest.raises(ConfigError, match="HOST:PORT"):
        read_config(config)


@pytest.fixture
def service(tmp_path):
    """A daemon that is a wake-word service."""
    make_bundle(tmp_path / "words.bundle")
    text = '[keyword]\nsource = "wyoming-wake:127.0.0.1:0"\nbundle = "words.bundle"\n'
    with daemon(write_config(tmp_path, text)) as running:
        running.wait("ready", "keyword")
        told = running.until(lambda s: s["workloads"]["keyword"]["facts"].get("port"))
        yield running, told["workloads"]["keyword"]["facts"]["port"]


def ask(port: int, data: bytes) -> list[Event]:
    """What a client is told that sends `data` and says no more."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        parser, events = Parser(), []
        while piece := client.recv(65_536):
            events += parser.feed(piece)
    return events


def test_clients_that_talk_nonsense_or_are_too_many_leave_the_others_alone(service):
    running, port = service
    (refused,) = ask(port, b"GET / HTTP/1.1\r\n\r\n")
    assert (refused.type, "not JSON" in refused.data["text"]) == ("error", True)
    idle = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(10)]
    idle[0].sendall(encode(Event(type="describe")))
    assert b'"info"' in idle[0].recv(65_536)
    assert idle[9].recv(1) == b""
    for client in idle:
        client.close()
    start = encode(Event(type="audio-start", data=FORMAT))
    sound = encode(Event(type="audio-chunk", data=FORMAT, payload=spoken("yes", "_silence_")))
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(start + sound + encode(Event(type="audio-stop")))
        assert b'"detection"' in client.recv(65_536)
    assert running.wait("detection", "keyword")["label"] == "yes"
    assert running.status()["workloads"]["keyword"]["input_s"] >= 0


def test_a_microphone_elsewhere_is_heard_and_waited_for(tmp_path):
    make_bundle(tmp_path / "words.bundle")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = f'[keyword]\nsource = "wyoming:127.0.0.1:{port}"\nbundle = "words.bundle"\n'
        with daemon(write_config(tmp_path, text)) as running:
            for word in ("yes", "no"):  # the second time after the connection broke
                connection, _ = server.accept()
                with connection:
                    pcm = spoken(word, "_silence_")
                    stereo = np.repeat(np.frombuffer(pcm, "<i2"), 2).tobytes()
                    data = FORMAT | {"channels": 2}
                    connection.sendall(encode(Event(type="audio-start", data=data)))
                    connection.sendall(encode(Event(type="audio-chunk", data=data, payload=stereo)))
                    assert running.wait("detection", "keyword")["label"] == word
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                found = running.wait("source", "keyword")
                assert "does not speak the Wyoming protocol" in found["text"]
            assert running.end() == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_both_ends_speak_over_ipv6(tmp_path):
    make_bundle(tmp_path / "words.bundle")
    text = '[keyword]\nsource = "wyoming-wake:[::1]:0"\nbundle = "words.bundle"\n'
    with daemon(write_config(tmp_path, text)) as running:
        told = running.until(lambda s: s["workloads"]["keyword"]["facts"].get("port"))
        address = ("::1", told["workloads"]["keyword"]["facts"]["port"])
        with socket.create_connection(address, 60) as client:
            client.sendall(encode(Event(type="describe")))
            assert b'"info"' in client.recv(65_536)
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        source = f"wyoming:[::1]:{server.getsockname()[1]}"
        config = write_config(
            tmp_path, f'[keyword]\nsource = "{source}"\nbundle = "words.bundle"\n'
        )
        with daemon(config) as running:
            connection, _ = server.accept()
            with connection:
                sound = Event(type="audio-chunk", data=FORMAT, payload=spoken("no", "_silence_"))
                connection.sendall(encode(Event(type="audio-start", data=FORMAT)) + encode(sound))
                assert running.wait("detection", "keyword")["label"] == "no"
                connection.sendall(b"nonsense\n")
                assert source.removeprefix("wyoming:") in running.wait("source", "keyword")["text"]


def stopped_after(patience: Patience, waits: int) -> None:
    """Has `patience` told to stop after so many waits."""
    left = iter(range(waits - 1))
    patience.on_wait(lambda _: None if next(left, None) is not None else patience.stop())


def test_a_microphone_that_hangs_up_at_once_is_not_asked_without_a_pause():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    taken.append(connection.getpeername())
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        patience = Patience()
        stopped_after(patience, 2)
        assert list(WyomingMicrophone(server.getsockname(), patience).blocks()) == []
        server.shutdown(socket.SHUT_RDWR)
    assert len(taken) == 2


def test_sound_of_another_width_says_what_is_read():
    with socket.create_server(("127.0.0.1", 0)) as server:
        microphone = WyomingMicrophone(server.getsockname(), Patience())
        start = encode(Event(type="audio-start", data=FORMAT | {"width": 4}))
        threading.Thread(target=lambda: server.accept()[0].sendall(start), daemon=True).start()
        with pytest.raises(
            SourceError, match=r"127.0.0.1:\d+: .*only 2 are read.*check the source"
        ):
            next(microphone.blocks())


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name not known"), UnicodeError("too long")])
def test_a_host_whose_name_is_not_known_is_told_of(monkeypatch, error):
    def unknown(*_):
        raise error

    monkeypatch.setattr(socket, "create_connection", unknown)
    with pytest.raises(
        SourceError, match=r"kitchen:10700: this name is not known here .* agent.toml"
    ):
        next(WyomingMicrophone(("kitchen", 10_700), Patience()).blocks())


def test_an_end_that_vanishes_without_a_word_is_noticed():
    with socket.socket() as connection:
        notice_loss(connection)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20


_PEER_CLIENT = """
import asyncio, json, sys
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.wake import Detect

async def main(port, path):
    pcm = open(path, "rb").read()
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Describe().event())
        info = Info.from_event(await client.read_event())
        await client.write_event(Ping(text="well?").event())
        pong = (await client.read_event()).to_dict()
        await client.write_event(Detect(names=["no"]).event())
        await client.write_event(AudioStart(16000, 2, 1, timestamp=0).event())
        for start in range(0, len(pcm), 2048):
            chunk = AudioChunk(16000, 2, 1, pcm[start:start + 2048], timestamp=start // 32)
            await client.write_event(chunk.event())
        await client.write_event(AudioStop(timestamp=len(pcm) // 32).event())
        found = (await client.read_event()).to_dict()
    models = [model.name for program in info.wake for model in program.models]
    print(json.dumps({"models": models, "pong": pong, "found": found}))

asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""

_PEER_MICROPHONE = """
import asyncio, sys
from wyoming.audio import AudioChunk, AudioStart
from wyoming.server import AsyncEventHandler, AsyncTcpServer

class Microphone(AsyncEventHandler):
    async def handle_event(self, event):
        return True

    async def run(self):
        pcm = open(sys.argv[1], "rb").read()
        await self.write_event(AudioStart(16000, 2, 1, timestamp=0).event())
        for start in range(0, len(pcm), 2048):
            await self.write_event(AudioChunk(16000, 2, 1, pcm[start:start + 2048]).event())
        await asyncio.sleep(60)

async def main():
    server = AsyncTcpServer("127.0.0.1", int(sys.argv[2]))
    await server.start(Microphone)
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """A python with the reference package of the protocol."""
    named = os.environ.get("WYOMING_PYTHON")
    if named:
        return named
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip("uv is not here to install the peer")
    folder = tmp_path_factory.mktemp("peer") / "env"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    done = subprocess.run([uv, "pip", "install", "--quiet", "--python", python, PEER], check=False)
    if done.returncode:
        pytest.skip("PyPI cannot be reached to install the peer")
    return python


@pytest.mark.slow
def test_the_reference_client_hears_of_a_word(service, peer, tmp_path):
    running, port = service
    sound = tmp_path / "said.pcm"
    sound.write_bytes(spoken("yes", "no", "_silence_"))
    done = subprocess.run(
        [peer, "-c", _PEER_CLIENT, str(port), sound], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    assert said["models"] == ["no", "stop", "yes"]
    assert said["pong"] == {"type": "pong", "data": {"text": "well?"}}
    assert (said["found"]["type"], said["found"]["data"]["name"]) == ("detection", "no")
    assert 1_000 < said["found"]["data"]["timestamp"] < 2_000
    assert running.wait("detection", "keyword")["label"] == "no"


@pytest.mark.slow
def test_the_reference_server_is_a_microphone(peer, tmp_path):
    make_bundle(tmp_path / "words.bundle")
    sound = tmp_path / "said.pcm"
    sound.write_bytes(spoken("stop", "_silence_"))
    held = HeldPort()
    port = held.number
    server = subprocess.Popen(
        [peer, "-c", _PEER_MICROPHONE, sound, str(port)], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout.readline() == b"ready\n"
        text = f'[keyword]\nsource = "wyoming:127.0.0.1:{port}"\nbundle = "words.bundle"\n'
        with daemon(write_config(tmp_path, text)) as running:
            assert running.wait("detection", "keyword")["label"] == "stop"
            assert running.end() == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()

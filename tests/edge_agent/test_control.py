"""The control socket: any bytes from any number of clients, and never a wait."""

import contextlib
import selectors
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.supervisor import control
from edge_agent.supervisor.control import ControlError, ControlServer, ask
from tests.fixtures.damage import MILLION, chance_of_its_own, damaged


class Served:
    """A server, turned by hand."""

    def __init__(self, root):
        self.selector = selectors.DefaultSelector()
        self.root = root
        self.asked = 0
        self.server = ControlServer(root, self.selector, self.answer)

    def answer(self):
        self.asked += 1
        return {"pid": 1}

    def turn(self):
        for key, _ in self.selector.select(0):
            key.data()

    def client(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        with control._address(self.root) as address:
            client.connect(address)
        client.settimeout(5)
        return client


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    # Deeper than an address of a Unix socket may be long.
    root = tmp_path_factory.mktemp("device") / ("x" * 120)
    root.mkdir()
    made = Served(root)
    yield made
    made.server.close()
    assert not (root / control.NAME).exists()
    assert ask(root) is None


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4))
def test_any_request_is_answered_or_dropped(served, pieces):
    client = served.client()
    served.turn()
    for piece in pieces:
        try:
            client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            break
        served.turn()
    client.shutdown(socket.SHUT_WR)
    for _ in range(2):
        served.turn()
    try:
        answer = client.recv(1000)
    except ConnectionResetError:
        answer = b""
    client.close()
    assert answer in (b"", b'{"pid": 1}\n')
    if b"".join(pieces).strip() == b"status" and len(pieces) == 1:
        assert answer


@pytest.mark.fuzz
def test_a_million_requests_are_answered_or_dropped(served):
    chance, whole = chance_of_its_own(), b"status\n"
    for _ in range(MILLION):
        request = damaged(chance.choice((whole, whole * 40)), range(len(whole)), chance)
        client = served.client()
        served.turn()
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        served.turn()
        served.turn()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000) in (b"", b'{"pid": 1}\n')
        client.close()
    served.turn()
    assert not served.server._clients


def test_a_status_is_one_line(served):
    client = served.client()
    client.sendall(b"status\n")
    served.turn()
    served.turn()
    assert client.recv(100) == b'{"pid": 1}\n'
    assert client.recv(100) == b""
    client.close()


def test_clients_that_dawdle_are_dropped_and_too_many_are_turned_away(served):
    clients = []
    for _ in range(control._MOST_CLIENTS + 2):
        clients.append(served.client())
        served.turn()
    assert len(served.server._clients) == control._MOST_CLIENTS
    now = time.monotonic()
    served.server.drop_late(now)
    served.server.drop_late(now + control._PATIENCE_S + 1)
    assert not served.server._clients
    assert all(client.recv(10) == b"" for client in clients)
    for client in clients:
        client.close()


def test_a_socket_without_a_daemon_is_no_daemon_and_one_that_says_nothing_is_told(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead, control._address(tmp_path) as address:
        dead.bind(address)
        assert ask(tmp_path) is None
        dead.listen()
        dead.settimeout(5)

        def hang_up():
            client, _ = dead.accept()
            client.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(ControlError, match="does not answer"):
            ask(tmp_path)
        thread.join()


def test_a_folder_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises((ControlError, NotADirectoryError)):
        ControlServer(tmp_path / "file", selectors.DefaultSelector(), dict)

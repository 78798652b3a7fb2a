"""The keyword workload as a wake-word service of the Wyoming protocol, for Home Assistant and satellites.

One loop serves all clients; each has a model of its own, for models may carry a state. Nobody is known here:
connections are few, and what a client sends at once or leaves unread is bounded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
from collections.abc import Callable

from edge_agent.features.audio import Float32
from edge_agent.features.waveform import StreamConformer
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.policy import Detection
from edge_agent.keyword.room import Room
from edge_agent.keyword.spotting import Spotter
from edge_agent.sources.connection import notice_loss
from edge_agent.sources.patient import Patience, SourceError
from edge_agent.tables import WAKE_SCHEME, shown_address
from edge_agent.wyoming.protocol import Event, Parser, ProtocolError, encode
from edge_agent.wyoming.wake import WakeTalk

MOST_CLIENTS = 8
_WAIT_S = 0.25
_PIECE_BYTES = 1 << 16
_MOST_UNREAD = 1 << 18


class Ear:
    """One stretch of sound of a client."""

    def __init__(
        self,
        classifier: KeywordClassifier,
        rate: int,
        took: Callable[[float], None],
        room: Room | None,
    ) -> None:
        """Begins it; `took` is told the seconds of sound that came, `room` what it is like there."""
        self._spotter = Spotter(classifier, warm_up_frames=classifier.warm_up_frames, room=room)
        self._conformer = StreamConformer(rate, classifier.features.sample_rate)
        self._rate = rate
        self._took = took

    def process(self, block: Float32) -> list[Detection]:
        """As in `edge_agent.wyoming.wake.Ear`."""
        self._took(len(block) / self._rate)
        return self._spotter.process(self._conformer.process(block))

    def finish(self) -> list[Detection]:
        """As in `edge_agent.wyoming.wake.Ear`."""
        return [*self._spotter.process(self._conformer.finish()), *self._spotter.finish()]


@dataclasses.dataclass
class _Client:
    connection: socket.socket
    talk: WakeTalk
    parser: Parser = dataclasses.field(default_factory=Parser)
    unsent: bytes = b""


class WakeService:
    """Listens at an address.

    Attributes:
        port: where; the one that was found free, if 0 was asked for.

    Raises:
        SourceError: if the address cannot be had.
    """

    def __init__(self, address: tuple[str, int], open_talk: Callable[[], WakeTalk]) -> None:
        self._open_talk = open_talk
        self._clients: dict[socket.socket, _Client] = {}
        self._selector = selectors.DefaultSelector()
        try:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._listener = socket.create_server(address, family=family, backlog=MOST_CLIENTS)
        except OSError as e:
            raise SourceError(
                f"{WAKE_SCHEME}{shown_address(*address)}: cannot listen there ({e.strerror}): give "
                "another address in agent.toml"
            ) from e
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self, patience: Patience, turn: Callable[[], None]) -> None:
        """Serves until `patience` is told to stop; calls `turn` after each wait, however short."""
        with contextlib.closing(self._selector), contextlib.closing(self._listener):
            while not patience.stopped:
                events = self._selector.select(_WAIT_S)
                for key, ready in events:
                    if key.data is not None:
                        self._attend(key.data, ready)
                if any(key.data is None for key, _ in events):
                    self._accept()  # last: those who left have made room
                turn()
            for client in list(self._clients.values()):
                self._drop(client)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again
        if len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        notice_loss(connection)
        client = _Client(connection, self._open_talk())
        self._clients[connection] = client
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _attend(self, client: _Client, ready: int) -> None:
        try:
            if ready & selectors.EVENT_READ:
                self._read(client)
            self._send(client)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._drop(client)

    def _read(self, client: _Client) -> None:
        piece = client.connection.recv(_PIECE_BYTES)
        if not piece:
            raise ConnectionResetError
        try:
            for event in client.parser.feed(piece):
                for answer in client.talk.take(event):
                    client.unsent += encode(answer)
                if len(client.unsent) > _MOST_UNREAD:
                    raise ConnectionResetError
        except ProtocolError as e:
            answer = Event(type="error", data={"text": str(e), "code": "protocol"})
            with contextlib.suppress(OSError):
                client.connection.send(client.unsent + encode(answer))
            raise ConnectionResetError from e

    def _send(self, client: _Client) -> None:
        if client.unsent:
            with contextlib.suppress(BlockingIOError):
                client.unsent = client.unsent[client.connection.send(client.unsent) :]
        waits = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
        self._selector.modify(client.connection, waits, client)

    def _drop(self, client: _Client) -> None:
        del self._clients[client.connection]
        self._selector.unregister(client.connection)
        client.connection.close()

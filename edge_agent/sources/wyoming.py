"""Sound from a microphone that speaks the Wyoming protocol, over TCP; it may be away for hours."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator

from edge_agent.features.audio import Float32
from edge_agent.sources.connection import notice_loss
from edge_agent.sources.patient import Patience, SourceError
from edge_agent.tables import shown_address
from edge_agent.wyoming.audio import AudioFormat, audio_format, samples
from edge_agent.wyoming.protocol import Event, Parser, ProtocolError

_WAIT_S = 0.25
_CONNECT_S = 2.0
_PIECE_BYTES = 1 << 16


class WyomingMicrophone:
    """The events of one microphone at an address, over as many connections as it takes."""

    def __init__(self, address: tuple[str, int], patience: Patience) -> None:
        self._address = address
        self._patience = patience
        self._format: AudioFormat | None = None
        self._chunks = self._sound()
        self._first: Float32 | None = None

    def rate(self) -> int:
        """Frames a second; waits for the first sound. 0 when told to stop before there is any.

        Raises:
            SourceError: if what answers is no microphone, or the host's name is not known.
        """
        self._first = next(self._chunks, None)
        return self._format.rate if self._format is not None else 0

    def blocks(self) -> Iterator[Float32]:
        """The samples in order, float32 (frames, channels), until it is told to stop.

        Raises:
            SourceError: if what answers is no microphone, the host's name is not known, or the format
                changes.
        """
        if self._first is not None:
            yield self._first
        yield from self._chunks

    def _sound(self) -> Iterator[Float32]:
        for event in self._events():
            if event.type not in ("audio-start", "audio-chunk"):
                continue
            format_ = self._format_of(event)
            if self._format not in (None, format_):
                raise SourceError(f"{self._named()}: now gives {format_.rate} Hz: it is begun anew")
            self._format = format_
            if event.type == "audio-chunk":
                yield samples(event, format_)

    def _events(self) -> Iterator[Event]:
        while not self._patience.stopped:
            with contextlib.closing(self._connection()) as connection:
                parser = Parser()
                try:
                    while (piece := self._piece(connection)) is not None:
                        yield from parser.feed(piece)
                except ProtocolError as e:
                    raise self._no_microphone(e) from e
            self._pause()  # one that hangs up at once is not asked again at once

    def _format_of(self, event: Event) -> AudioFormat:
        try:
            return audio_format(event)
        except ProtocolError as e:
            raise self._no_microphone(e) from e

    def _connection(self) -> socket.socket:
        while not self._patience.stopped:
            try:
                connection = socket.create_connection(self._address, _CONNECT_S)
                notice_loss(connection)
                return connection
            except (socket.gaierror, UnicodeError) as e:
                raise SourceError(
                    f"{self._named()}: this name is not known here ({e}): check the source in agent.toml, "
                    "and the network"
                ) from e
            except OSError:
                self._pause()
        return socket.socket()

    def _piece(self, connection: socket.socket) -> bytes | None:
        """The next bytes; None at the end of the connection, or when told to stop."""
        while not self._patience.stopped:
            try:
                if select.select([connection], [], [], _WAIT_S)[0]:
                    piece = connection.recv(_PIECE_BYTES)
                    if piece:
                        self._patience.fed()
                    return piece or None
            except OSError:
                return None
            self._patience.waited()
        return None

    def _pause(self) -> None:
        if not self._patience.stopped:
            time.sleep(_WAIT_S)
            self._patience.waited()

    def _no_microphone(self, error: ProtocolError) -> SourceError:
        return SourceError(
            f"{self._named()}: does not speak the Wyoming protocol as it is read here ({error}): check "
            "the source"
        )

    def _named(self) -> str:
        return shown_address(*self._address)

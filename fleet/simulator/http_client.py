"""A small HTTP/1.1 client for many devices over few connections.

It sends what the devices of the simulation need, and reads answers with a Content-Length, as the fleet
server gives them; a general client costs ten times the CPU, and would measure itself.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast
from urllib.parse import urlsplit

_TIME_OUT_S = 120.0
_MOST_HEAD = 65_536  # bytes


class ConnectionLost(Exception):
    """The server went away in the middle of an answer."""


class HttpConnection:
    """A connection that is kept, and made anew when it breaks between two requests.

    Args:
        url: of the server: ``http://HOST:PORT``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._answers: _Answers | None = None

    async def request(
        self, method: str, path: str, authorization: str, body: Any = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer.

        Args:
            method: GET, POST or PUT.
            path: with its query.
            authorization: the header.
            body: is sent as JSON; None for none.

        Raises:
            ConnectionLost: if the server ends the connection before the answer is whole, or gives none.
            OSError: if it cannot be reached.
        """
        sent = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: {authorization}\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        answers = self._answers
        if answers is None or answers.is_lost:
            loop = asyncio.get_running_loop()
            _, answers = await loop.create_connection(_Answers, self._host, self._port)
            self._answers = answers
        return await answers.after(head.encode("latin-1") + sent)

    def close(self) -> None:
        """Ends the connection."""
        if self._answers is not None:
            self._answers.close()
        self._answers = None


class _Answers(asyncio.Protocol):
    """A connection on which one request at a time is under way."""

    def __init__(self) -> None:
        self.is_lost = False
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._body_from = 0  # where the body begins; 0 while the head is not whole
        self._ends = 0
        self._status = 0
        self._waiting: asyncio.Future[tuple[int, bytes]] | None = None

    async def after(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to `request`."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._received, self._body_from = b"", 0
        self._waiting = loop.create_future()
        self._transport.write(request)
        late = loop.call_later(_TIME_OUT_S, self._lose, f"no answer in {_TIME_OUT_S:g} s")
        try:
            return await self._waiting
        finally:
            late.cancel()
            self._waiting = None

    def close(self) -> None:
        """Ends the connection."""
        self.is_lost = True
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(str(exc) if exc else "the server ended the connection")

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not self._body_from:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                if len(self._received) > _MOST_HEAD:
                    self._lose("the head of the answer does not end")
                return
            try:
                self._status, length = _read_head(self._received[:end])
            except ValueError:
                self._lose(f"no HTTP: {self._received[:80]!r}")
                return
            self._body_from = end + 4
            self._ends = self._body_from + length
        waiting = self._waiting
        if len(self._received) >= self._ends and waiting is not None and not waiting.done():
            waiting.set_result((self._status, self._received[self._body_from : self._ends]))

    def _lose(self, why: str) -> None:
        self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionLost(why))


def _read_head(head: bytes) -> tuple[int, int]:
    """Status, and length of the body.

    Raises:
        ValueError: if it is no head of HTTP.
    """
    first, *lines = head.split(b"\r\n")
    status, length = int(first.split(b" ", 2)[1]), 0
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, length

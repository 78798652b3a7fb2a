"""A small HTTP/1.1 client for many devices over few connections.

It sends what the devices of the simulation need, and reads answers with a Content-Length, as the fleet
server gives them; a general client costs ten times the CPU, and would measure itself.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

_TIME_OUT_S = 120.0


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
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

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
            ConnectionLost: if the server ends the connection before the answer is whole.
            OSError: if it cannot be reached.
        """
        sent = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: {authorization}\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        async with asyncio.timeout(_TIME_OUT_S):
            if self._writer is None or self._writer.is_closing():
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            assert self._reader is not None
            self._writer.write(head.encode("latin-1") + sent)
            try:
                return await _answer(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError, ValueError) as e:
                self.close()
                raise ConnectionLost(str(e)) from e

    def close(self) -> None:
        """Ends the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    status, length = int(head[0].split(b" ", 2)[1]), 0
    for line in head[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, await reader.readexactly(length) if length else b""

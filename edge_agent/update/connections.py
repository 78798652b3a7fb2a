"""HTTP connections on which no step can take longer than it may.

The standard library bounds each socket operation, not their sum: a server that sends a byte now and
then holds a client for ever, as does a name server that does not answer. Here each read, of headers
too, is under one deadline, and finding and reaching the server under a time of its own. Redirects
are followed here and not in urllib, which would read their bodies to any length. Proxies come from
the environment (``http_proxy``, ``https_proxy``, ``no_proxy``).
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from edge_agent import __version__
from edge_agent.update.waiting import Deadline, Limits

_REDIRECTS = {301, 302, 303, 307, 308}


class RedirectError(Exception):
    """The server sends the client where it does not go; the message says where."""


class Connections:
    """Opens http:// and https:// URLs within `limits`, all of them before `deadline`."""

    def __init__(self, limits: Limits, deadline: Deadline) -> None:
        self._limits = limits
        self._deadline = deadline
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            _Http(limits, deadline),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The successful answer (status 2xx) to a GET of `url`.

        What stands in the header ``Authorization`` is for the host of `url` alone, and goes to no other.

        Raises:
            HTTPError: for any other status.
            RedirectError: for too many redirects, or one to a less safe place.
            OSError, HTTPException: if the server cannot be reached or talks nonsense.
        """
        sent = {"User-Agent": f"edge_agent/{__version__}", **headers}
        for _ in range(self._limits.redirects + 1):
            request = urllib.request.Request(url, headers=sent)
            wait = self._deadline.next_wait(self._limits.idle_seconds)
            try:
                return cast("http.client.HTTPResponse", self._opener.open(request, timeout=wait))
            except urllib.error.HTTPError as e:
                place = e.headers.get("Location") if e.code in _REDIRECTS else None
                if place is None:
                    raise
                e.close()
                former, url = urlsplit(url), urljoin(url, place)
                if urlsplit(url).scheme not in {"https", former.scheme}:
                    raise RedirectError(f"redirected to {url}: not safe") from e
                if urlsplit(url).netloc != former.netloc:
                    sent.pop("Authorization", None)
        raise RedirectError(f"redirected more than {self._limits.redirects} times")

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> http.client.HTTPResponse:
        """The successful answer to `body`, sent to `url` by `method`; no redirect is followed.

        Raises:
            HTTPError: for any other status than 2xx.
            OSError, HTTPException: if the server cannot be reached or talks nonsense.
        """
        sent = {"User-Agent": f"edge_agent/{__version__}", **headers}
        request = urllib.request.Request(url, headers=sent, data=body, method=method)
        wait = self._deadline.next_wait(self._limits.idle_seconds)
        return cast("http.client.HTTPResponse", self._opener.open(request, timeout=wait))


class _Http(urllib.request.HTTPHandler):
    """Opens both schemes with connections whose every step is under the deadline."""

    https_request = urllib.request.HTTPHandler.http_request

    def __init__(self, limits: Limits, deadline: Deadline) -> None:
        super().__init__()
        self._limits = limits
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection(http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        make = self._connection(http.client.HTTPSConnection)
        return self.do_open(make, request, context=self._context)

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _connection(self, type_: Any) -> Any:
        def connection(host: str, **arguments: Any) -> Any:
            made = type_(host, **arguments)
            made.response_class = answer
            made._create_connection = self._connect
            return made

        def answer(sock: socket.socket, *arguments: Any, **named: Any) -> Any:
            reader = _Reader(sock, self._deadline, self._limits.idle_seconds)
            return http.client.HTTPResponse(cast("socket.socket", reader), *arguments, **named)

        return connection

    def _connect(self, address: tuple[str, int], *_: Any) -> socket.socket:
        until = time.monotonic() + self._deadline.next_wait(self._limits.connect_seconds)
        places = _look_up(*address, until - time.monotonic())
        for left in range(len(places), 0, -1):
            family, kind, protocol, _, place = places[-left]
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(max(0.01, (until - time.monotonic()) / left))
                made.connect(place)
                made.settimeout(self._deadline.next_wait(self._limits.idle_seconds))
            except OSError:
                made.close()
                if left == 1:
                    raise
            else:
                return made
        raise OSError(f"{address[0]}: has no address")


def _look_up(host: str, port: int, seconds: float) -> list[Any]:
    """`socket.getaddrinfo` within `seconds`; it goes on in its thread if it takes longer."""
    found: list[Any] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as e:
            failed.append(e)
        except UnicodeError:
            failed.append(OSError(f"{host!r} is not a host's name"))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise TimeoutError(f"no name server told the address of {host}")
    return found


class _Reader(io.RawIOBase):
    """A socket's bytes, headers included, each read allowed only what time is left."""

    def __init__(self, sock: socket.socket, deadline: Deadline, idle_seconds: float) -> None:
        super().__init__()
        self._socket = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._idle_seconds = idle_seconds

    def makefile(self, mode: str) -> io.BufferedReader:
        """What HTTPResponse asks its socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._deadline.next_wait(self._idle_seconds))
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()

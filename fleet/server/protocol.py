"""HTTP/1.1 as uvicorn speaks it, with what it leaves open: client certificates, endless heads, problems."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fleet.server.certificates import CERTIFIED, Authorities, Certified
from fleet.server.problems import Problem

PATIENCE_S = 30.0
"""In which the head of a request must come, and the first one of a connection."""
_MOST_HEAD = 64 * 1024


def make_protocol(authorities: Authorities) -> type[HttpToolsProtocol]:
    """The protocol of a server that lets devices in by certificates of these authorities."""

    class Protocol(HttpToolsProtocol):
        _shown: bytes | None = None
        _certified: Certified | None = None
        _reading = (0, 0)
        _head = 0
        _awaited = True
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()
            tls = transport.get_extra_info("ssl_object")
            self._shown = None if tls is None else tls.getpeercert(binary_form=True)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # A head nearly always comes in one piece, which takes no timer.
            if self._awaited and self._waiting is None:
                self._wait()

        def on_headers_complete(self) -> None:
            self._awaited = False
            self._stop_waiting()
            super().on_headers_complete()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head = 0
            self._awaited = True
            # A connection lasts; its certificate may be taken back meanwhile, or the list be overdue.
            if self._shown and self._reading != (reading := authorities.reading()):
                self._reading = reading
                self._certified = authorities.certify(self._shown)
            if self._certified is not None:
                cast("dict[str, object]", self.scope)[CERTIFIED] = self._certified

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._count(len(name) + len(value))
            super().on_header(name, value)

        def send_400_response(self, msg: str) -> None:
            self._refuse(Problem(431 if self._head > _MOST_HEAD else 400, msg))

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(PATIENCE_S, self._give_up)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _give_up(self) -> None:
            self._waiting = None
            if self.cycle is not None and not self.cycle.response_complete:
                self._wait()  # the request before is still being answered
            elif not self.transport.is_closing():
                self._refuse(Problem(408, f"no request came within {PATIENCE_S:g} s"))

        def _refuse(self, problem: Problem) -> None:
            refused = problem.response()
            head = [b"HTTP/1.1 %d \r\n" % refused.status_code]
            head += [b"%s: %s\r\n" % header for header in refused.raw_headers]
            self.transport.write(
                b"".join([*head, b"connection: close\r\n\r\n", bytes(refused.body)])
            )
            self.transport.close()

        def _count(self, more: int) -> None:
            self._head += more
            if self._head > _MOST_HEAD:
                raise ValueError("the head of the request is too long")

    return Protocol

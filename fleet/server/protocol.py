"""HTTP/1.1 as uvicorn speaks it, with what it leaves open: client certificates, long headers, problems."""

from __future__ import annotations

from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fleet.server.certificates import CERTIFIED, Authorities, Certified
from fleet.server.problems import Problem

_MOST_HEAD = 64 * 1024


def make_protocol(authorities: Authorities) -> type[HttpToolsProtocol]:
    """The protocol of a server that lets devices in by certificates of these authorities."""

    class Protocol(HttpToolsProtocol):
        _certified: Certified | None = None
        _head = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            tls = transport.get_extra_info("ssl_object")
            shown = None if tls is None else tls.getpeercert(binary_form=True)
            if shown:
                self._certified = authorities.certify(shown)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head = 0
            if self._certified is not None:
                cast("dict[str, object]", self.scope)[CERTIFIED] = self._certified

        def on_url(self, url: bytes) -> None:
            self._count(len(url))
            super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            self._count(len(name) + len(value))
            super().on_header(name, value)

        def send_400_response(self, msg: str) -> None:
            refused = Problem(431 if self._head > _MOST_HEAD else 400, msg).response()
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

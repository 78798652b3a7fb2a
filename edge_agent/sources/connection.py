"""TCP connections whose other end may vanish without a word: its power fails, or its network."""

from __future__ import annotations

import socket

_IDLE_S = 20
_BETWEEN_S = 5
_PROBES = 4


def notice_loss(connection: socket.socket) -> None:
    """Has reads of `connection` fail some 40 s after its other end has vanished, where Linux runs."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S), ("TCP_KEEPINTVL", _BETWEEN_S), ("TCP_KEEPCNT", _PROBES)
    ):  # fmt: skip
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

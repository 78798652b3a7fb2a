"""sd_notify: telling systemd how the daemon is, by datagrams to ``$NOTIFY_SOCKET``.

Without that variable, outside systemd, nothing is sent. Source: sd_notify(3), systemd.service(5).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Sends what systemd is to know; a datagram that cannot be sent is dropped.

    Attributes:
        watchdog_s: systemd restarts the daemon after so many seconds without `feed`; None: never.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog(environment)
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # systemd empties its queue at once; a READY that it had no room for would be lost.
            self._socket.settimeout(1.0)
        self._fed: float | None = None
        self._status = ""

    def ready(self) -> None:
        """The daemon is up, or has reloaded."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The daemon reads its settings anew; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """A line for ``systemctl status``, told when it has changed."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + text.replace("\n", " "))

    def feed(self, now: float) -> None:
        """Feeds the watchdog, at most four times in its interval."""
        if self.watchdog_s is None:
            return
        if self._fed is None or now - self._fed >= self.watchdog_s / 4:
            self._fed = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        address = self._address
        with contextlib.suppress(OSError):
            # A leading @ stands for the NUL of the abstract namespace.
            self._socket.sendto(
                text.encode(), "\0" + address[1:] if address.startswith("@") else address
            )


def _watchdog(environment: Mapping[str, str]) -> float | None:
    pid, text = environment.get("WATCHDOG_PID"), environment.get("WATCHDOG_USEC", "")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    if pid is not None and pid != str(os.getpid()):
        return None
    return int(text) / 1e6

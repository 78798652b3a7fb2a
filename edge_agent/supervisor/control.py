"""The control socket ``agent.sock``: a Unix socket in the device folder, for the owner alone.

A client sends one line, ``status``, and gets one line of JSON. Connections are few, short and bounded:
a client that dawdles is dropped and never waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edge_agent.update.errors import BusyError

NAME = "agent.sock"
_LONGEST_REQUEST = 256
_MOST_CLIENTS = 8
_PATIENCE_S = 2.0


class ControlError(Exception):
    """The socket cannot be had, or gives no answer; the message says why."""


@contextlib.contextmanager
def _address(root: Path) -> Iterator[str]:
    """The socket's address; a Unix address is at most 107 bytes, and a device folder may be longer."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


class ControlServer:
    """Listens in the device folder `root`; `answer` gives the status.

    Raises:
        ControlError: if it cannot listen there.
    """

    def __init__(
        self, root: Path, selector: selectors.BaseSelector, answer: Callable[[], dict[str, Any]]
    ) -> None:
        self._path = root / NAME
        self._selector = selector
        self._answer = answer
        self._clients: dict[socket.socket, tuple[float, bytes]] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.setblocking(False)
        mask = os.umask(0o177)
        try:
            self._path.unlink(missing_ok=True)  # of a daemon that was killed
            with _address(root) as address:
                self._listener.bind(address)
            self._listener.listen(_MOST_CLIENTS)
        except OSError as e:
            self._listener.close()
            raise ControlError(
                f"{self._path}: cannot listen ({e.strerror or e}): give write access to {root}"
            ) from e
        finally:
            os.umask(mask)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Listens no more."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._listener)
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def drop_late(self, now: float) -> None:
        """Drops clients that have dawdled; they count from the first call that sees them."""
        for client, (begun, request) in list(self._clients.items()):
            if begun < 0:
                self._clients[client] = (now, request)
            elif now - begun > _PATIENCE_S:
                self._drop(client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            if len(self._clients) >= _MOST_CLIENTS:
                client.close()
                return
            client.setblocking(False)
            self._clients[client] = (-1.0, b"")
            self._selector.register(client, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        begun, request = self._clients[client]
        try:
            data = client.recv(_LONGEST_REQUEST + 1 - len(request))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        request += data
        self._clients[client] = (begun, request)
        if data and b"\n" not in request and len(request) <= _LONGEST_REQUEST:
            return
        if request.strip() == b"status":
            # A fresh socket's buffer holds far more than a status; what does not fit is cut, and the
            # client finds no whole line.
            with contextlib.suppress(OSError):
                client.send(json.dumps(self._answer()).encode() + b"\n")
        self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        del self._clients[client]
        self._selector.unregister(client)
        client.close()


def watches(root: Path) -> bool:
    """Whether a daemon of `root` watches over bundles on probation.

    Raises:
        BusyError: if a daemon runs, and does not say.
    """
    try:
        told = ask(root)
    except ControlError as e:
        raise BusyError(str(e)) from e
    return told is not None and told.get("probation") is not None


def ask(root: Path) -> dict[str, Any] | None:
    """The status of the daemon of `root`; None if none runs.

    Raises:
        ControlError: if it runs, and does not answer.
    """
    path = root / NAME
    try:
        with _address(root) as address, socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5.0)
            client.connect(address)
            client.sendall(b"status\n")
            data = b""
            while piece := client.recv(1 << 16):
                data += piece
        told = json.loads(data)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as e:
        raise ControlError(f"{path}: belongs to another user: ask as the one who runs it") from e
    except (OSError, ValueError) as e:
        raise ControlError(f"{path}: the daemon does not answer ({e}): see its log") from e
    if not isinstance(told, dict):
        raise ControlError(f"{path}: the daemon gives no status: see its log")
    return told

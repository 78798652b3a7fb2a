"""Serving the pages until somebody ends it."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from components.base import UserError
from pipeline.web.app import make_app
from pipeline.web.reading import ReadOnlyStore

_GRACE_SECONDS = 3
_BACKLOG = 128


def serve(root: Path, store: ReadOnlyStore, host: str, port: int) -> None:
    """Serves the pages of `root` at `host` and `port` until SIGINT or SIGTERM; prints the address.

    Args:
        root: folder that the runs wrote below.
        store: its lineage.
        host: name or address of this machine to listen on.
        port: TCP port; 0 for any that is free.

    Raises:
        UserError: if nothing can listen there.
    """
    listening = _listen(host, port)
    address = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        make_app(root, store, host),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    # From before the address is printed: a signal may come at once. The server hands on the one that
    # ended it, too, and for this command that is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with listening:
        print(f"Runs below {root}: http://{address}:{listening.getsockname()[1]}/", flush=True)
        if not _is_loopback(listening.getsockname()[0]):
            print(
                f"warning: anyone who reaches {host} can read these pages; there is no authentication",
                file=sys.stderr,
                flush=True,
            )
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except socket.gaierror as e:
        raise UserError(f"--host {host}: no such address: {e.strerror}") from e
    except (OSError, OverflowError) as e:
        if isinstance(e, OSError) and e.errno == errno.EADDRINUSE:
            raise UserError(
                f"port {port} is taken: give another one with --port (--port 0 takes a free one)"
            ) from e
        raise UserError(f"cannot listen on {host}, port {port}: {e}") from e


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback

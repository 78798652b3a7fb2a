"""Serving until somebody ends it: the socket, TLS, and an orderly end."""

from __future__ import annotations

import errno
import signal
import socket
import ssl
from pathlib import Path

import uvicorn

from fleet.server.app import make_app
from fleet.server.clock import Clock
from fleet.server.fleet_state import FleetState
from fleet.store.database import Database
from fleet.store.errors import StoreError

_GRACE_S = 20
_BACKLOG = 2048


def serve(
    root: Path,
    database: Database,
    clock: Clock,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serves the fleet of `root` until SIGINT or SIGTERM; prints the address once it listens.

    What is being answered then is answered, for up to 20 seconds; last polls are written.

    Args:
        root: folder of repositories and artifacts.
        database: its database.
        clock: tells the moment.
        host: name or address of this machine to listen on.
        port: TCP port; 0 for any that is free.
        certificate: PEM file with the chain, for TLS.
        key: PEM file with its private key.

    Raises:
        StoreError: if nothing can listen there, or the certificate cannot be read.
    """
    listening = _listen(host, port)
    config = uvicorn.Config(
        make_app(FleetState(root, database, clock)),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as e:
        raise StoreError(f"--certificate {certificate}, --key {key}: {e}") from e
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    scheme = "https" if certificate else "http"
    address = f"[{host}]" if ":" in host else host
    with listening:
        print(f"fleet at {scheme}://{address}:{listening.getsockname()[1]}/", flush=True)
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except socket.gaierror as e:
        raise StoreError(f"--host {host}: no such address: {e.strerror}") from e
    except (OSError, OverflowError) as e:
        if isinstance(e, OSError) and e.errno == errno.EADDRINUSE:
            raise StoreError(f"port {port} is taken: give another with --port (0: any)") from e
        raise StoreError(f"cannot listen on {host}, port {port}: {e}") from e

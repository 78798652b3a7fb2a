"""Serving until somebody ends it: the socket, TLS, and an orderly end."""

from __future__ import annotations

import dataclasses
import errno
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import uvicorn

from fleet.server.app import make_app
from fleet.server.certificates import Authorities
from fleet.server.clock import Clock
from fleet.server.fleet_state import FleetState
from fleet.server.intake import Intake
from fleet.server.limits import Limits
from fleet.server.protocol import make_protocol
from fleet.server.proxies import Proxies, behind
from fleet.store.database import Database
from fleet.store.errors import StoreError
from fleet.store.objects import Objects

_GRACE_S = 20
_log = logging.getLogger("fleet")
_BACKLOG = 2048
_LAST_PORT = 65_535


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guard:
    """What stands between the server and the world.

    Attributes:
        certificate: PEM file with the server's chain, for TLS.
        key: PEM file with its private key.
        authorities: whose client certificates let devices in; needs TLS.
        proxies: whose word about the client counts.
        limits: how often anybody may ask.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Authorities = dataclasses.field(default_factory=lambda: Authorities({}))
    proxies: Proxies = dataclasses.field(default_factory=Proxies)
    limits: Limits = dataclasses.field(default_factory=Limits)

    def context(
        self, _config: uvicorn.Config, make: Callable[[], ssl.SSLContext]
    ) -> ssl.SSLContext:
        """The settings of TLS: a client may show a certificate, and none that does not hold."""
        return self._trusting(make())

    def _trusting(self, context: ssl.SSLContext) -> ssl.SSLContext:
        for file in self.authorities.files:
            context.load_verify_locations(file)
            context.verify_mode = ssl.CERT_OPTIONAL
            # An authority that issues to devices is enough, without the one above it.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def renew(self, config: uvicorn.Config) -> None:
        """Reads all certificates and revocation lists again; what cannot be read changes nothing.

        Connections that are there go on with the server's former certificate, and each of their requests
        is held against the new lists.
        """
        try:
            self.authorities.read()
        except StoreError as e:
            _log.warning("%s: what was read before counts on", e)
        if config.ssl is None or self.certificate is None:
            return
        # A context keeps a certificate of each kind of key: the former one of another kind would be shown on.
        try:
            fresh = self._trusting(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            fresh.load_cert_chain(
                self.certificate, self.key
            )  # what is half written changes nothing
        except (OSError, ssl.SSLError) as e:
            _log.warning("%s: %s: the former certificate stays", self.certificate, e)
            return

        def take(shaking_hands: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            shaking_hands.context = fresh

        config.ssl.sni_callback = take


def serve(
    root: Path,
    database: Database,
    clock: Clock,
    host: str,
    port: int,
    guard: Guard | None = None,
    announce: Callable[[str], None] | None = None,
    objects: Objects | None = None,
    intake: Intake | None = None,
) -> None:
    """Serves the fleet of `root` until SIGINT or SIGTERM; upon SIGHUP `Guard.renew` does its work.

    What is being answered then is answered, for up to 20 seconds; last polls are written.

    Args:
        root: folder of repositories and artifacts.
        database: its database.
        clock: tells the moment.
        host: name or address of this machine to listen on.
        port: TCP port; 0 for any that is free.
        guard: TLS, whose word counts, and limits; none of it by default.
        objects: the object store, if released files may be in one.
        intake: takes in bundles that signers send; by default nothing does.
        announce: is told the address once it listens; prints it by default.

    Raises:
        StoreError: if nothing can listen there, or the certificate cannot be read.
    """
    guard = guard or Guard()
    listening = _listen(host, port)
    state = FleetState(root, database, clock, guard.limits, objects, intake)
    config = uvicorn.Config(
        behind(guard.proxies, make_app(state)),
        http=make_protocol(guard.authorities),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
        ssl_certfile=guard.certificate,
        ssl_keyfile=guard.key,
        ssl_context_factory=guard.context if guard.certificate else None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as e:
        raise StoreError(f"--certificate {guard.certificate}, --key {guard.key}: {e}") from e
    server = uvicorn.Server(config)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda *_: guard.renew(config))
    scheme = "https" if guard.certificate else "http"
    address = f"[{host}]" if ":" in host else host
    with listening:
        (announce or _announce)(f"{scheme}://{address}:{listening.getsockname()[1]}/")
        server.run(sockets=[listening])


def _announce(address: str) -> None:
    print(f"fleet at {address}", flush=True)


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:  # the resolver would take the rest of a division
        raise StoreError(f"--port {port}: give 0 (any) to {_LAST_PORT}")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except socket.gaierror as e:
        raise StoreError(f"--host {host}: no such address: {e.strerror}") from e
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            raise StoreError(f"port {port} is taken: give another with --port (0: any)") from e
        raise StoreError(f"cannot listen on {host}, port {port}: {e}") from e

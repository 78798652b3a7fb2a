"""What a trusted reverse proxy says of the client: its address, host, scheme, and client certificate.

Nothing of that is believed from anybody else. The headers of the certificate are hawkBit's:
``X-Ssl-Client-Cn``, and ``X-Ssl-Issuer-Hash-1`` and so on with the hashes of those who issued it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from fleet.server.certificates import CERTIFIED, Certified
from fleet.store.errors import StoreError

_ISSUER = re.compile(rb"x-ssl-issuer-hash-\d+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proxies:
    """The proxies in front of a server.

    Attributes:
        addresses: of those that are trusted, or their networks.
        issuers: tenants, each with the hash of an authority that certifies its devices, as the proxy
            tells it; without any no certificate is taken from a proxy.
    """

    addresses: tuple[str, ...] = ()
    issuers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for address in self.addresses:
            try:
                ipaddress.ip_network(address)
            except ValueError as e:
                raise StoreError(f"--proxy {address}: give an address or a network: {e}") from e


def behind(proxies: Proxies, app: ASGIApp) -> ASGIApp:
    """The application, told by these proxies whom it serves; itself if there are none."""
    if not proxies.addresses:
        return app
    forwarding = ProxyHeadersMiddleware(app, list(proxies.addresses))  # type: ignore[arg-type]
    trusted = forwarding.trusted_hosts

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client is not None and client[0] in trusted:
            _believe(scope, proxies.issuers)
        await forwarding(scope, receive, send)  # type: ignore[arg-type]

    return told


def _believe(scope: Scope, issuers: Sequence[tuple[str, str]]) -> None:
    scope.pop(CERTIFIED, None)  # what the proxy itself shows says nothing of its clients
    host, name = b"", ""
    hashes = set()
    for key, value in scope["headers"]:
        if key == b"x-forwarded-host":
            host = value.rpartition(b",")[2].strip()
        elif key == b"x-ssl-client-cn":
            name = value.decode("latin-1")
        elif _ISSUER.fullmatch(key):
            hashes.add(value.decode("latin-1").strip().lower())
    if host:
        kept = [header for header in scope["headers"] if header[0] != b"host"]
        scope["headers"] = [*kept, (b"host", host)]
    tenants = frozenset(tenant for tenant, issuer in issuers if issuer.lower() in hashes)
    if name and tenants:
        scope[CERTIFIED] = Certified(name, tenants)

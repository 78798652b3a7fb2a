"""``python -m fleet serve``: the fleet server."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.commands.fleet_arguments import add_root, add_store, open_database, open_objects

if TYPE_CHECKING:
    from fleet.server.limits import Buckets
    from fleet.server.serving import Guard

NAME = "serve"
SUMMARY = "serve devices (hawkBit's DDI), operators, and the update repository"
DESCRIPTION = """\
Serves the fleet of R: hawkBit's Direct Device Integration API v1 at /TENANT/controller/v1/ID, the TUF
repository at /TENANT/tuf/, the operators' JSON API at /api/v1 (described at /openapi.json), pages, health
and metrics. SIGTERM ends it in order; SIGHUP has it read certificates and revocation lists again. It serves
this machine alone unless --host says otherwise; tokens then belong behind TLS, and the limits below hold."""
EXAMPLES = """\
  python -m fleet serve --root var
  python -m fleet serve --root var --host 0.0.0.0 --port 8443 --certificate chain.pem --key key.pem
  python -m fleet serve --root var --certificate chain.pem --key key.pem --client-ca default=ca.pem
      devices come by client certificates, whose common name is the device's id; --client-crl crl.pem
      names those that were taken back, and SIGHUP has the server read it again
  python -m fleet serve --root var --proxy 127.0.0.1 --issuer default=5E:72:A0
      behind a proxy that ends TLS, checks client certificates, and tells of them in hawkBit's headers
  python -m fleet serve --root var --database postgresql://user@host/fleet
      one of several workers; they share the database and the folder R
  python -m fleet serve --root var --clock simulated
      the time passes when `fleet simulate` says so: for simulations alone"""

_PORT = 8081
_RATES = {"device": 300.0, "operator": 600.0, "refusal": 30.0}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_root(parser)
    add_store(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=_PORT, metavar="N", help=f"0 for any (default: {_PORT})"
    )
    parser.add_argument(
        "--clock", choices=("real", "simulated"), default="real", help="default: real"
    )
    parser.add_argument(
        "--sign-uploads", action="store_true",
        help="release bundles that signers POST, with the keys in keys/ beside the repository: who has a "
        "signer's token, or breaks into this machine, can then have devices run anything",
    )  # fmt: skip
    guard = parser.add_argument_group("TLS")
    guard.add_argument("--certificate", type=Path, metavar="PEM", help="serve TLS with this chain")
    guard.add_argument("--key", type=Path, metavar="PEM", help="the certificate's private key")
    guard.add_argument(
        "--client-ca",
        type=_pair,
        action="append",
        default=[],
        metavar="TENANT=PEM",
        help="devices of the tenant may come by certificates that this authority issued itself",
    )
    guard.add_argument(
        "--client-crl",
        type=Path,
        action="append",
        default=[],
        metavar="PEM",
        help="revocation lists of these authorities; certificates in them let nobody in",
    )
    guard = parser.add_argument_group("behind a proxy")
    guard.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="believe X-Forwarded-For, -Proto and -Host from this address or network",
    )
    guard.add_argument(
        "--issuer",
        type=_pair,
        action="append",
        default=[],
        metavar="TENANT=HASH",
        help="believe X-Ssl-Client-Cn from it too, where X-Ssl-Issuer-Hash-1 (-2, ...) is this",
    )
    guard = parser.add_argument_group(
        "limits",
        "Requests a minute, in each worker; 0: none, as where neither --host nor --proxy is given.",
    )
    for name, what in (
        ("device", "of a device"),
        ("operator", "of an operator"),
        ("refusal", "failed log-ins"),
    ):
        guard.add_argument(
            f"--{name}-rate", type=_rate, metavar="N", help=f"{what} (default: {_RATES[name]:g})"
        )


def _pair(text: str) -> tuple[str, str]:
    tenant, sign, value = text.partition("=")
    if not (tenant and sign and value):
        raise argparse.ArgumentTypeError("give TENANT=VALUE")
    return tenant, value


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (rate := float(text)) <= 1e6:
            return rate
    raise argparse.ArgumentTypeError("give 0 to 1,000,000 requests a minute")


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is ended."""
    import time

    from fleet.server.clock import SimulatedClock
    from fleet.server.intake import Intake
    from fleet.server.serving import serve
    from fleet.store.errors import StoreError

    if (arguments.certificate is None) != (arguments.key is None):
        raise StoreError("--certificate and --key: give both, or neither")
    if arguments.client_ca and arguments.certificate is None:
        raise StoreError(
            "--client-ca: give --certificate and --key too; without TLS nobody shows one"
        )
    if arguments.client_crl and not arguments.client_ca:
        raise StoreError("--client-crl: give the --client-ca whose certificates it takes back")
    if arguments.issuer and not arguments.proxy:
        raise StoreError("--issuer: give the --proxy that tells of client certificates")
    guard = _guard(arguments)
    database = open_database(arguments)
    root, objects = arguments.root.absolute(), open_objects(arguments)
    clock = time.time if arguments.clock == "real" else SimulatedClock()
    try:
        serve(
            root,
            database,
            clock,
            arguments.host,
            arguments.port,
            guard,
            lambda address: _announce(arguments, address),
            objects,
            Intake(root, objects) if arguments.sign_uploads else None,
        )
    finally:
        database.close()
    return 0


def _announce(arguments: argparse.Namespace, address: str) -> None:
    print(json.dumps({"url": address}) if arguments.json else f"fleet at {address}", flush=True)


def _guard(arguments: argparse.Namespace) -> Guard:
    from fleet.server.certificates import Authorities
    from fleet.server.limits import Buckets, Limits
    from fleet.server.proxies import Proxies
    from fleet.server.serving import Guard

    def buckets(name: str) -> Buckets | None:
        given = getattr(arguments, f"{name}_rate")
        alone = arguments.host in _LOOPBACK and not arguments.proxy
        default = 0.0 if alone else _RATES[name]
        rate = default if given is None else given
        return Buckets(rate) if rate else None

    files: dict[str, list[Path]] = {}
    for tenant, file in arguments.client_ca:
        files.setdefault(tenant, []).append(Path(file))
    return Guard(
        certificate=arguments.certificate,
        key=arguments.key,
        authorities=Authorities(files, arguments.client_crl),
        proxies=Proxies(addresses=tuple(arguments.proxy), issuers=tuple(arguments.issuer)),
        limits=Limits(
            device=buckets("device"), operator=buckets("operator"), refused=buckets("refusal")
        ),
    )

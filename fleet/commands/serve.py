"""``python -m fleet serve``: the fleet server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fleet.commands.fleet_arguments import add_root, open_database

NAME = "serve"
SUMMARY = "serve devices (hawkBit's DDI), operators, and the update repository"
DESCRIPTION = """\
Serves the fleet of R: hawkBit's Direct Device Integration API v1 at /TENANT/controller/v1/ID, the TUF
repository at /TENANT/tuf/, the operators' JSON API at /api/v1, health and metrics. SIGTERM ends it in order.
It serves this machine alone unless --host says otherwise; tokens then belong behind TLS."""
EXAMPLES = """\
  python -m fleet serve --root var
  python -m fleet serve --root var --host 0.0.0.0 --port 8443 --certificate chain.pem --key key.pem
  python -m fleet serve --root var --database postgresql://user@host/fleet
      one of several workers; they share the database and the folder R
  python -m fleet serve --root var --clock simulated
      the time passes when `fleet simulate` says so: for simulations alone"""

_PORT = 8081


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_root(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=_PORT, metavar="N", help=f"0 for any (default: {_PORT})"
    )
    parser.add_argument("--certificate", type=Path, metavar="PEM", help="serve TLS with this chain")
    parser.add_argument("--key", type=Path, metavar="PEM", help="the certificate's private key")
    parser.add_argument(
        "--clock", choices=("real", "simulated"), default="real", help="default: real"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is ended."""
    import time

    from fleet.server.clock import SimulatedClock
    from fleet.server.serving import serve
    from fleet.store.errors import StoreError

    if (arguments.certificate is None) != (arguments.key is None):
        raise StoreError("--certificate and --key: give both, or neither")
    database = open_database(arguments)
    clock = time.time if arguments.clock == "real" else SimulatedClock()
    try:
        serve(
            arguments.root.absolute(),
            database,
            clock,
            arguments.host,
            arguments.port,
            arguments.certificate,
            arguments.key,
        )
    finally:
        database.close()
    return 0

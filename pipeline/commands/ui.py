"""``ui``: the runs of a root as pages in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.commands.recipe_arguments import add_root

NAME = "ui"
SUMMARY = "show runs, metrics, artifacts and model cards in a browser"
DESCRIPTION = """\
Serves pages that show what was run below ROOT: the graph of each run with states and durations, metrics
over runs, artifacts and their lineage, model cards. It reads only, and changes nothing below the root.
It serves this machine alone unless --host says otherwise: there is no authentication. Ctrl-C ends it."""
EXAMPLES = """\
  python -m pipeline ui --root var
  python -m pipeline ui --root var --port 0
      take any free port, and print it
  python -m pipeline ui --root var --lineage postgresql://user@host/name
      a lineage that several roots share
  python -m pipeline ui --root var --host 0.0.0.0
      let other machines read it too"""

_PORT = 8080


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    add_root(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this machine to listen on (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=_PORT,
        metavar="N",
        help=f"port to listen on; 0 for any (default: {_PORT})",
    )


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else -1
    if not 0 <= port < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return port


def run(arguments: argparse.Namespace) -> int:
    """Serves the pages until it is ended."""
    from sqlalchemy import URL

    from pipeline.lineage.database import parse_url
    from pipeline.lineage.store import DATABASE
    from pipeline.web.reading import ReadOnlyStore
    from pipeline.web.server import serve

    root = Path(arguments.root).absolute()
    given = arguments.lineage
    own = URL.create("sqlite", database=str(root / DATABASE))
    store = ReadOnlyStore(own if given is None else parse_url(given))
    try:
        serve(root, store, arguments.host, arguments.port)
    finally:
        store.close()
    return 0

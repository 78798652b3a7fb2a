"""The bundle that a command works on: its arguments, its opening, and what may be wrong with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.bundle.archive import Bundle


def add_bundle(parser: Any) -> None:
    """Declares ``--bundle``, ``--runtime`` and ``--json``."""
    parser.add_argument("--bundle", required=True, type=Path, metavar="B", help="the bundle to use")
    parser.add_argument(
        "--runtime",
        choices=("auto", "litert", "tflite_runtime"),
        default="auto",
        help="the interpreter; auto takes LiteRT where it is installed (default: auto)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """The bundle at `path`; turns what may be wrong with it into an error that names it."""
    from edge_agent.bundle.archive import BundleError, read
    from edge_agent.classification import ClassifierError
    from edge_agent.runtime import RuntimeModelError

    try:
        yield read(path)
    except BundleError as e:
        raise CommandError(str(e)) from e
    except (ClassifierError, RuntimeModelError) as e:
        raise CommandError(f"{path}: {e}") from e

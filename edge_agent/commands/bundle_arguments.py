"""The bundle that a command works on: its arguments, its opening, and what may be wrong with it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.bundle.archive import Bundle
    from edge_agent.keyword.head import Head


def add_bundle(parser: Any) -> None:
    """Declares ``--bundle``, ``--runtime`` and ``--json``."""
    parser.add_argument("--bundle", required=True, type=Path, metavar="B", help="the bundle to use")
    add_runtime(parser)


def add_runtime(parser: Any) -> None:
    """Declares ``--runtime`` and ``--json``."""
    parser.add_argument(
        "--runtime",
        choices=("auto", "litert", "tflite_runtime"),
        default="auto",
        help="the interpreter; auto takes LiteRT where it is installed (default: auto)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")


def add_learned(parser: Any) -> None:
    """Declares ``--root``, the device whose learning is to be used."""
    parser.add_argument(
        "--root", type=Path, metavar="DEVICE_DIR", help="with what this device has learned on it"
    )


def learned(arguments: argparse.Namespace, bundle: Bundle) -> Head | None:
    """The head that ``--root`` has learned on `bundle`; None where none was asked for, or learned.

    Raises:
        CommandError: if the folder is not there, or what it has learned is damaged, or of another bundle.
    """
    from edge_agent.adaptation.errors import AdaptationError
    from edge_agent.adaptation.versions import Versions

    if arguments.root and not arguments.root.is_dir():
        raise CommandError(f"{arguments.root}: no such folder: --root names that of a device")
    number = Versions(arguments.root).current() if arguments.root else 0
    if number == 0:
        return None
    try:
        version = Versions(arguments.root).read(number)
    except AdaptationError as e:
        raise CommandError(str(e)) from e
    if version.bundle != bundle.digest:
        raise CommandError(
            f"{arguments.bundle}: version {number} was learned on another bundle "
            f"({version.bundle[:12]}): name that one, or start the daemon, which learns it anew"
        )
    return version.learned.head


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

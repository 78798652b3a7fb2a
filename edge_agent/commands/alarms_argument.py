"""The argument that names a folder for the hours around alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_alarms(parser: Any) -> None:
    """Declares --alarms."""
    parser.add_argument(
        "--alarms",
        type=Path,
        metavar="DIR",
        help="write the hour around each alarm there, as CSV and PNG",
    )

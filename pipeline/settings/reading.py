"""Settings in a file: a TOML table a step, a key a parameter."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MOST_BYTES = 1_000_000
_HERE = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """The files that come with the project, by their names without the ending."""
    return {file.stem: file for file in sorted(_HERE.glob("*.toml"))}


def read_settings(file: Path) -> list[str]:
    """The settings in a TOML file: a table a step, a key a parameter; as ``--set`` takes them.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no TOML, or holds what is no parameter of a step.
    """
    with file.open("rb") as opened:
        content = opened.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES:,} bytes are no settings")
    try:
        tables = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, RecursionError) as e:
        raise ValueError(f"no TOML: {e}") from e
    return [setting for name, table in tables.items() for setting in _settings(name, table)]


def _settings(name: str, table: Any) -> Iterator[str]:
    if not isinstance(table, dict):
        raise ValueError(f"{name} stands in no step: write [Trainer], or another step, above it")
    for key, value in table.items():
        try:
            yield f"{name}.{key}={value if isinstance(value, str) else json.dumps(value)}"
        except TypeError as e:
            raise ValueError(f"{name}.{key}: {value} is no value that a parameter takes") from e

"""Whether this agent and its runtime are new enough for a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_agent import __version__
from edge_agent.runtime import Runtime, installed


class CompatibilityError(Exception):
    """The bundle asks for something newer; the message says what to update."""


def present(runtime: Runtime = "auto") -> dict[str, str]:
    """The versions that are here, by the names in a manifest: of the agent, and of what `runtime` takes."""
    return {"agent": __version__, **installed(runtime)}


def check_minimum(minimum: Mapping[str, str], present: Mapping[str, str]) -> None:
    """Holds the versions that a manifest asks for against those that are here.

    Args:
        minimum: least version by ``agent``, ``tflite_runtime``, ``litert``.
        present: the version here, by the same names; what is absent here does not count.

    Raises:
        CompatibilityError: if something here is older.
    """
    for name, least in sorted(minimum.items()):
        here = present.get(name)
        if here is not None and _release(here) < _release(least):
            raise CompatibilityError(
                f"the bundle needs {name} {least} or newer, and this is {here}: update {name}"
            )


def _release(version: str) -> tuple[int, ...]:
    """The numbers a version begins with, without trailing zeros: ``2.14.0rc1`` gives (2, 14)."""
    match = re.match(r"\d{1,9}(\.\d{1,9})*", version)
    numbers = [int(n) for n in match.group().split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

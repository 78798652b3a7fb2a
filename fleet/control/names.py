"""Names that may stand in addresses, on command lines and in logs."""

from __future__ import annotations

import re

from fleet.store.errors import ConflictError

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,255}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
RESERVED = frozenset(
    {
        "api", "audit", "devices", "health", "login", "logout", "metrics", "releases", "rollouts",
    }
)  # fmt: skip


def check_tenant(name: str) -> None:
    """Accepts the name of a tenant.

    Raises:
        ConflictError: if it cannot be one.
    """
    if not _TENANT.fullmatch(name) or name.lower() in RESERVED:
        raise ConflictError(
            f"tenant {name[:80]!r}: use up to 64 letters, digits, '_' and '-', and none of "
            f"{', '.join(sorted(RESERVED))}"
        )


def is_device(name: str) -> bool:
    """Whether a device may call itself so: no path, no blank, nothing that does not print."""
    return _DEVICE.fullmatch(name) is not None


def check_file(name: str) -> None:
    """Accepts the name of an artifact's file.

    Raises:
        ConflictError: if it cannot be one.
    """
    if not _FILE.fullmatch(name):
        raise ConflictError(
            f"file name {name[:80]!r}: use up to 200 letters, digits, '_', '.', '+' and '-'"
        )

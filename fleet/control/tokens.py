"""Tokens of devices, gateways and operators: long random texts, of which the database holds a digest.

A plain SHA-256 is enough, unlike for passwords: what is drawn from 192 random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 24
REVOKED = ""
"""Stands in the place of a digest where no token is let in: there is none whose digest this is."""


def new_token() -> str:
    """A token that nobody had before, of hexadecimal digits.

    Others would do, but for a ``-`` at its beginning: SWUpdate, where a device's token is given on
    the command line, takes that for an option, and a ``d`` in it for the one not to poll at all.
    """
    return secrets.token_hex(_BYTES)


def hash_token(token: str) -> str:
    """What the database holds of `token`, hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

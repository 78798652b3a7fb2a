"""Tokens of devices, gateways and operators: long random texts, of which the database holds a digest.

A plain SHA-256 is enough, unlike for passwords: what is drawn from 192 random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 24


def new_token() -> str:
    """A token that nobody had before."""
    return secrets.token_urlsafe(_BYTES)


def hash_token(token: str) -> str:
    """What the database holds of `token`, hex."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

"""Development keys: one ed25519 key a role, in files beside the repository and never inside it.

They lie unencrypted on the publishing machine, with a threshold of one: good for a desk, not for
a fleet. The repository asks only for the `signer` of a role, so keys held elsewhere can take their
place.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Key, Signer

from fleet.repository.errors import KeysError
from fleet.repository.files import make_private_folder, write_whole

ROLES = ("root", "targets", "snapshot", "timestamp")


class Keys(Protocol):
    """Where signatures come from."""

    def create(self) -> Mapping[str, Key]:
        """Makes the keys that a new repository lacks; gives the public key of every role."""
        ...

    def signer(self, role: str) -> Signer:
        """The signer of `role`.

        Raises:
            KeysError: if its key cannot be used.
        """
        ...


class DevelopmentKeys:
    """Keys as PEM files (PKCS #8, mode 0600) in `folder`, one a role."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self) -> Mapping[str, Key]:
        """Makes the missing keys; keys that are there are kept, so that a killed start goes on."""
        make_private_folder(self._folder)
        for role in ROLES:
            path = self._path(role)
            if not path.exists():
                write_whole(path, CryptoSigner.generate_ed25519().private_bytes, mode=0o600)
        return {role: self.signer(role).public_key for role in ROLES}

    def signer(self, role: str) -> CryptoSigner:
        """Loads the key of `role`.

        Raises:
            KeysError: if it is missing, readable by others, or not an ed25519 key.
        """
        path = self._path(role)
        try:
            mode = path.stat().st_mode
            data = path.read_bytes()
        except OSError as e:
            raise KeysError(
                f"{path}: the {role} key cannot be read ({e.strerror}): put the key back from its "
                "backup, or publish on the machine that holds it"
            ) from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeysError(f"{path}: others may read this private key: run chmod 600 {path}")
        try:
            key = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeysError(
                f"{path}: not an unencrypted PEM key: put the key back from its backup"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeysError(f"{path}: not an ed25519 key: put the key back from its backup")
        return CryptoSigner(key)

    def _path(self, role: str) -> Path:
        return self._folder / f"{role}.pem"

"""Keys: ed25519, in files beside the repository and never inside it, or held elsewhere.

By default one a role, with a threshold of one: good for a desk. For a fleet, more keys and thresholds
are added, and those of root and targets kept on other machines (`root_keys`), on tokens or in a cloud's key
service (`held_keys`). The repository asks only for the `signers` of a role.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey

from fleet.repository.errors import KeysError
from fleet.repository.files import make_private_folder, write_whole
from fleet.repository.held_keys import SUFFIX, read_held

ROLES = ("root", "targets", "snapshot", "timestamp")
_ID = "[0-9a-f]" * 8  # with no more, so that no key of another role is meant


class Keys:
    """Keys as PEM files (PKCS #8, mode 0600) in `folder`: ``ROLE.pem`` and ``ROLE-ID.pem``.

    ``ROLE-ID.json`` leads to a key that is held elsewhere. PEM files that `$EDGE_KEY_PASSPHRASE` encrypts are
    read with it, and written so where it is set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self) -> Mapping[str, Key]:
        """Makes the missing keys; keys that are there are kept, so that a killed start goes on."""
        make_private_folder(self.folder)
        for role in ROLES:
            path = self.folder / f"{role}.pem"
            if not path.exists():
                write_key(path, CryptoSigner.generate_ed25519())
        return {role: read_key(self.folder / f"{role}.pem").public_key for role in ROLES}

    def add(self, role: str) -> Key:
        """Makes one more key for `role`; gives its public part."""
        make_private_folder(self.folder)
        signer = CryptoSigner.generate_ed25519()
        write_key(self.folder / f"{role}-{signer.public_key.keyid[:8]}.pem", signer)
        return signer.public_key

    def hold(self, role: str, file: Path) -> Key:
        """Lets the key that `file` leads to sign for `role` here; gives its public part.

        Raises:
            KeysError: if the file leads to no key.
        """
        public = read_held(file).public_key
        make_private_folder(self.folder)
        write_whole(self.folder / f"{role}-{public.keyid[:8]}{SUFFIX}", file.read_bytes())
        return public

    def signers(self, role: str) -> list[Signer]:
        """The keys of `role`, those held elsewhere among them.

        Raises:
            KeysError: if there is none, or one is readable by others or not an ed25519 key.
        """
        held = [read_held(path) for path in self._others(role, SUFFIX)]
        paths = self._files(role)
        if not paths and not held:
            paths = [self.folder / f"{role}.pem"]  # which is missing, and that is told
        return [*(read_key(path) for path in paths), *held]

    def in_files(self, role: str) -> list[str]:
        """Ids of the keys of `role` whose private part is here.

        Raises:
            KeysError: if one cannot be used.
        """
        return [read_key(path).public_key.keyid for path in self._files(role)]

    def at_hand(self, role: str) -> set[str]:
        """Ids of the keys of `role` that can sign here.

        Raises:
            KeysError: if one cannot be used.
        """
        here = self._files(role) or self._others(role, SUFFIX)
        return {signer.public_key.keyid for signer in self.signers(role)} if here else set()

    def _files(self, role: str) -> list[Path]:
        first = self.folder / f"{role}.pem"
        return [*([first] if first.exists() else []), *self._others(role, ".pem")]

    def _others(self, role: str, suffix: str) -> list[Path]:
        return sorted(self.folder.glob(f"{role}-{_ID}{suffix}"))


def read_signer(path: Path) -> Signer:
    """The private key in the file `path`, or the one held elsewhere that it leads to.

    Raises:
        KeysError: if it is neither.
    """
    return read_held(path) if path.suffix == SUFFIX else read_key(path)


def read_key(path: Path) -> CryptoSigner:
    """Loads the private key in the PEM file `path`.

    Raises:
        KeysError: if it is missing, readable by others, or not an ed25519 key.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as e:
        raise KeysError(
            f"{path}: the {path.stem} key cannot be read ({e.strerror}): put the key back from its "
            "backup, or publish on the machine that holds it"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeysError(f"{path}: others may read this private key: run chmod 600 {path}")
    try:
        key = load_pem_private_key(data, password=_passphrase() if b"ENCRYPTED" in data else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeysError(
            f"{path}: not a PEM key, or not one that $EDGE_KEY_PASSPHRASE opens: put the key back "
            "from its backup, or set the passphrase"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysError(f"{path}: not an ed25519 key: put the key back from its backup")
    return CryptoSigner(key)


def write_key(path: Path, signer: CryptoSigner) -> None:
    """Writes a private key to `path`, for its owner alone, under the passphrase if one is set."""
    passphrase = _passphrase()
    key = load_pem_private_key(signer.private_bytes, password=None)
    data = key.private_bytes(
        Encoding.PEM,
        PrivateFormat.PKCS8,
        BestAvailableEncryption(passphrase) if passphrase else NoEncryption(),
    )
    write_whole(path, data, mode=0o600)


def write_public(path: Path, key: Key) -> Path:
    """Writes the public part of a key, which may be shown to anyone, to `path`."""
    content = {"keyid": key.keyid, **key.to_dict()}
    write_whole(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return path


def read_public(path: Path) -> Key:
    """Loads the public part of a key from `path`.

    Raises:
        KeysError: if it is none.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise KeysError(f"{path}: cannot be read ({e.strerror}): give a key's .pub file") from e
    try:
        content = json.loads(data)
        return SSlibKey.from_dict(content.pop("keyid"), content)
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise KeysError(
            f"{path}: not the public part of a key ({e}): give the .pub file that "
            "`python -m fleet keys new` wrote"
        ) from e


def _passphrase() -> bytes | None:
    return os.environ.get("EDGE_KEY_PASSPHRASE", "").encode() or None

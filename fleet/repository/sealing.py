"""Signing metadata: each role by all of its keys that are at hand, and never short of its threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from fleet.repository.errors import KeysError
from fleet.repository.keys import Keys
from fleet.repository.state import State

_S = TypeVar("_S", Root, Snapshot, Targets, Timestamp)
File = tuple[Path, bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """How long newly signed metadata is valid, by role.

    Attributes:
        root: of the keys; after it no device accepts the repository.
        targets: of the list of releases.
        snapshot: of the promise that nothing is newer; bounds a freeze attack with `timestamp`.
        timestamp: likewise.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=14)
    timestamp: timedelta = timedelta(days=14)


def sign(metadata: Metadata[_S], signer: Signer) -> None:
    """Adds the signature of `signer` to `metadata`.

    Raises:
        KeysError: if it does not sign; what is held elsewhere may be away.
    """
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as e:
        raise KeysError(
            f"the key {signer.public_key.keyid[:8]} does not sign ({e.__cause__ or e}): check $PYKCS11LIB "
            "and $EDGE_KEY_PIN of a token, credentials and region of a cloud"
        ) from e


def _delegation(targets: Targets, name: str) -> DelegatedRole:
    roles = targets.delegations.roles if targets.delegations else None
    assert roles is not None  # the caller has its metadata
    return roles[name]


class Sealer:
    """Signs what is to be published in the repository at `folder`; writes nothing.

    Args:
        folder: holds ``metadata/``.
        keys: where signatures come from.
        lifetimes: validity of what is signed.
        clock: gives the time in UTC.
    """

    def __init__(
        self, folder: Path, keys: Keys, lifetimes: Lifetimes, clock: Callable[[], datetime]
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._lifetimes = lifetimes
        self._clock = clock

    def seal_targets(self, state: State, *others: Root) -> list[File]:
        """Targets, snapshot and timestamp, signed now, in the order to write them.

        Args:
            state: what to sign, with the root whose keys must sign it.
            others: other roots whose keys sign it too, where they are at hand.

        Raises:
            KeysError: if the keys at hand do not reach a role's threshold.
        """
        data = self.sign(state.targets, state.root, *others)
        version = state.targets.version
        state.snapshot.meta["targets.json"] = MetaFile.from_data(version, data, ["sha256"])
        return [(self.path(f"{version}.targets.json"), data), *self.seal(state, *others)]

    def seal_family(self, state: State, name: str) -> list[File]:
        """The releases called `name`, which have keys of their own; snapshot and timestamp.

        Raises:
            KeysError: see `seal_targets`.
        """
        return [self.list_family(state, name), *self.seal(state)]

    def list_family(self, state: State, name: str) -> File:
        """The releases called `name`, signed now, and listed in the snapshot that is still to be signed.

        Raises:
            KeysError: see `seal_targets`.
        """
        family = state.families[name]
        metadata = Metadata[Targets](family)
        known = set(_delegation(state.targets, name).keyids)
        for signer in self._keys.signers(name):
            if signer.public_key.keyid in known:
                sign(metadata, signer)
        try:
            state.targets.verify_delegate(name, metadata.signed_bytes, metadata.signatures)
        except TufError as e:
            raise KeysError(
                f"{self._folder}: the key at hand is not that of {name}, or not enough of its keys are "
                f"({e}): put its own keys back, or give it others with `keys rotate {name}`"
            ) from e
        data = metadata.to_bytes()
        state.snapshot.meta[f"{name}.json"] = MetaFile.from_data(family.version, data, ["sha256"])
        return self.path(f"{family.version}.{name}.json"), data

    def seal(self, state: State, *others: Root) -> list[File]:
        """Snapshot and timestamp, signed now; with the second in place all of it is public.

        Raises:
            KeysError: see `seal_targets`.
        """
        snapshot, timestamp = state.snapshot, state.timestamp
        snapshot.expires = self._clock() + self._lifetimes.snapshot
        data = self.sign(snapshot, state.root, *others)
        timestamp.snapshot_meta = MetaFile.from_data(snapshot.version, data, ["sha256"])
        timestamp.expires = self._clock() + self._lifetimes.timestamp
        return [
            (self.path(f"{snapshot.version}.snapshot.json"), data),
            (self.path("timestamp.json"), self.sign(timestamp, state.root, *others)),
        ]

    def sign(self, signed: _S, root: Root, *others: Root) -> bytes:
        """`signed`, with the signatures that `root` demands and those that `others` would take.

        Raises:
            KeysError: see `seal_targets`.
        """
        metadata = Metadata[_S](signed)
        role = signed.type
        self.add_signatures(metadata, role, [root, *others])
        try:
            root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except TufError as e:
            raise KeysError(
                f"{self._folder}: the {role} key at hand is not this repository's, or not enough of "
                f"its keys are ({e}): put its own keys back, or publish to a new folder"
            ) from e
        return metadata.to_bytes()

    def add_signatures(self, metadata: Metadata[_S], role: str, roots: Sequence[Root]) -> None:
        """Signs `metadata` with every key at hand that one of `roots` knows for `role`."""
        known = {keyid for root in roots for keyid in root.roles[role].keyids}
        for signer in self._keys.signers(role):
            if signer.public_key.keyid in known:
                sign(metadata, signer)

    def path(self, file: str) -> Path:
        """Where the metadata `file` lies."""
        return self._folder / "metadata" / file
